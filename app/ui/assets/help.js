// The list of shortcuts: by its button, or by "?" where nothing is typed.
(() => {
  const lab = window.latentLab;
  const KEYS = {
    Enter: "keys_generate", "Shift + Enter": "keys_line", Esc: "keys_stop", "← →": "keys_pictures", "+ −": "keys_zoom",
    "Ctrl + Z": "keys_undo",
    "?": "keys_help",
  };
  const showHelp = () => {
    if (document.getElementById("shortcuts")) return;
    const dialog = Object.assign(document.createElement("dialog"), { id: "shortcuts" });
    dialog.setAttribute("aria-label", lab.word("keys_title"));
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: lab.word("close") });
    const list = document.createElement("dl");
    list.append(...Object.entries(KEYS).flatMap(([key, says]) => {
      const dt = document.createElement("dt");
      dt.append(Object.assign(document.createElement("kbd"), { textContent: key }));
      return [dt, Object.assign(document.createElement("dd"), { textContent: lab.word(says) })];
    }));
    dialog.append(Object.assign(document.createElement("h2"), { textContent: lab.word("keys_title") }), list, close);
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  };
  lab.showHelp = showHelp;
  window.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=range]), textarea, select, [contenteditable=true]");
    if (event.key === "?" && !typing && !document.querySelector("dialog[open]")) showHelp();
  });
})();
