// The token of a server that wants one.

import { byId } from "./elements.js";

/** Asks for a token; "" if there is none. `wasWrong` says that the last one was refused. */
export function askToken(wasWrong) {
  const dialog = byId("token"), form = byId("token-form"), input = byId("token-input");
  byId("token-wrong").hidden = !wasWrong;
  input.value = "";
  dialog.showModal();
  input.focus();
  return new Promise((done) => {
    form.onsubmit = (event) => { event.preventDefault(); dialog.close(input.value.trim()); };
    byId("token-cancel").onclick = () => dialog.close("");
    dialog.oncancel = () => { dialog.returnValue = ""; };  // Escape
    dialog.onclose = () => { input.value = ""; done(dialog.returnValue); };
  });
}
