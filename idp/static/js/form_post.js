// response_mode=form_post: carry the answer to the application at once. Without this script the person presses Continue.
"use strict";

const form = document.getElementById("form-post");
// A field may be called "submit" and hide the method of that name; so take the method from the prototype.
HTMLFormElement.prototype.submit.call(form);
