// The access token: typed once, kept for this tab in sessionStorage, sent in the Authorization header and nowhere else.

import { byId, setText } from "./dom.js";

const KEY = "logtap-token";
let current = stored();

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** The token, or an empty string. */
export function token() {
  return current;
}

/** Asks for a token; `onToken` is called with the page ready to try it. */
export function askForToken(wrong, onToken) {
  const dialog = byId("token-dialog");
  const field = byId("token-field");
  setText(byId("token-hint"), wrong ? "The server did not accept that token." : "This server wants an access token.");
  field.value = "";
  byId("token-form").onsubmit = (event) => {
    event.preventDefault();
    const value = field.value.trim();
    if (value === "") return;
    current = value;
    try {
      sessionStorage.setItem(KEY, value);
    } catch {
      // Switched off: the token lasts as long as the page.
    }
    dialog.close();
    onToken();
  };
  if (!dialog.open) dialog.showModal();
  field.focus();
}
