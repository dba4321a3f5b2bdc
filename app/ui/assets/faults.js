// A refusal stands beside the field it is about, which is marked until it changes.
(() => {
  const lab = window.latentLab, { find } = lab;
  const unfold = (id) => { // what is folded away is not on the page at all
    const header = find(`#${id} > button`);
    if (header && !header.classList.contains("open")) header.click();
  };
  let form = null; // what is in the form
  let fault = null; // what is refused just now: the sentence, its field's name, the value that it is about
  const valueOf = (name) => JSON.stringify(form?.[name]);
  const inputsOf = (field) => [...(field?.querySelectorAll("input, textarea") ?? [])];
  const acquit = () => {
    fault.said.hidden = Boolean(fault.said.dataset.field); // else it is about something else by now
    fault.field?.classList.remove("fault");
    inputsOf(fault.field).forEach((el) => ["aria-invalid", "aria-describedby"].forEach((name) => el.removeAttribute(name)));
    fault.text?.remove();
    fault = null;
  };
  const judgeAgain = (values) => { // a field that holds something else is no longer at fault
    form = values;
    if (fault && valueOf(fault.name) !== fault.value) acquit();
  };
  const blame = () => {
    const said = find("#line [data-field]");
    if (fault && said && fault.words === said.textContent) return;
    if (fault) acquit();
    if (!said) return;
    said.hidden = false;
    const id = said.dataset.field, name = id.replaceAll("-", "_");
    fault = { said, words: said.textContent, name, value: valueOf(name) };
    if (id !== "prompt" && id !== "batch") unfold(id === "strength" ? "start" : "advanced");
    markFault();
  };
  const lineChanged = () => {
    const said = find("#line .line");
    if (!said?.dataset.field || !said.hidden) blame();
    if (said && !said.dataset.field) said.hidden = false;
  };
  const markFault = (marked = fault, tries = 25) => { // what was folded comes a moment later
    if (!marked || marked !== fault) return;
    const again = () => { if (tries) setTimeout(markFault, 200, marked, tries - 1); };
    const field = document.getElementById(marked.said.dataset.field);
    if (!field) { again(); return; }
    if (!marked.text) {
      const text = Object.assign(document.createElement("p"), { className: "fault-text", textContent: marked.said.textContent });
      text.id = `${field.id}-fault`;
      field.classList.add("fault");
      field.append(text);
      inputsOf(field).forEach((el) => { el.setAttribute("aria-invalid", "true"); el.setAttribute("aria-describedby", text.id); });
      Object.assign(marked, { field, text });
    }
    if (lab.isShown(field) && getComputedStyle(field).visibility === "visible") field.querySelector("input, textarea")?.focus(); else again();
  };
  const loadStart = (tries = 20) => { // the canvas is made when its section opens
    unfold("start");
    const chooser = find("#canvas input[type=file]");
    if (!chooser) { if (tries) setTimeout(loadStart, 100, tries - 1); return; }
    find("#start").scrollIntoView({ block: "nearest" });
    chooser.click();
  };
  Object.assign(lab, { blame, judgeAgain, lineChanged, unfold });
  window.addEventListener("click", (event) => { if (event.target.closest?.("[data-load]")) loadStart(); });
})();
