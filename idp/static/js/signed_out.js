// After a sign-out: go on when the hidden frames have told the other applications, or after three seconds. The link is there in any case.
"use strict";

const onward = document.querySelector("a[data-onward]");
let going = false;
function go() {
  if (!going) {
    going = true;
    location.replace(onward.href);
  }
}
if (onward) {
  setTimeout(go, 3000);
  if (document.readyState === "complete") go();
  else addEventListener("load", go); // waits for the frames too
}
