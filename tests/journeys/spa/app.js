// A single-page application: no server of its own, no secret, tokens only in the memory of this tab's session storage.
// The one page is also where the provider's answers arrive, in the window and in the hidden frame.
const { UserManager, WebStorageStateStore, ErrorResponse } = window.oidc;

const settings = await (await fetch("/settings.json")).json();
const here = `${location.origin}/`;
const manager = new UserManager({
  ...settings, // authority, client_id, scope
  redirect_uri: here,
  silent_redirect_uri: here,
  post_logout_redirect_uri: here,
  loadUserInfo: true,
  automaticSilentRenew: false, // the button does it here
  revokeTokensOnSignout: true,
  userStore: new WebStorageStateStore({ store: sessionStorage }),
});

const say = (sentence, details = null) => {
  document.querySelector("pre").textContent = details ? JSON.stringify(details) : "";
  document.querySelector("[role=status]").textContent = sentence;
};

const show = (sentence, user) =>
  say(sentence, {
    profile: user.profile,
    scope: user.scope,
    access_token: user.access_token,
    has_refresh_token: Boolean(user.refresh_token),
  });

// What a click does, with the provider's refusal in words instead of an exception.
const on = (id, act) =>
  document.getElementById(id).addEventListener("click", async () => {
    say("Working");
    try {
      await act();
    } catch (problem) {
      say(problem instanceof ErrorResponse ? `Refused: ${problem.error}` : `Failed: ${problem.message}`);
    }
  });

on("in", () => manager.signinRedirect());
on("renew", async () => show("Renewed", await manager.signinSilent()));
on("out", () => manager.signoutRedirect({ state: "bye" })); // with a state, the way back tells what it is

const answer = new URLSearchParams(location.search);
if (window !== window.top) {
  await manager.signinSilentCallback();
} else if (answer.has("code") || answer.has("error")) {
  const user = await manager.signinRedirectCallback();
  history.replaceState({}, "", "/");
  show("Signed in", user);
} else if (answer.has("state")) {
  await manager.signoutRedirectCallback();
  history.replaceState({}, "", "/");
  say("Signed out");
} else {
  const user = await manager.getUser();
  user ? show("Still signed in", user) : say("Nobody is signed in");
}
