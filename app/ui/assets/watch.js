// What is looked after once a frame while anything on the page changes.
(() => {
  const page = window.latentLab;
  // Gradio names a slider and its number in English whatever the page's language.
  const NAMED = { "range slider for ": "slider", "number input for ": "slider_number" };
  const nameSliders = () => {
    if (document.documentElement.lang !== "zh") return;
    for (const [english, key] of Object.entries(NAMED)) {
      for (const input of document.querySelectorAll(`input[aria-label^="${english}"]`)) {
        input.ariaLabel = page.word(key).replace("{name}", input.ariaLabel.replace(english, ""));
      }
    }
  };

  let ready = false; // the model
  const watch = () => {
    page.settle();
    page.fillMenu();
    nameSliders();
    page.markLessons();
    page.noteTab();
    const now = Boolean(document.querySelector("#state .state.ready"));
    if (now && !ready) page.redrawShown();
    ready = now;
  };
  const start = () => {
    let asked = false; // once a frame is enough
    new MutationObserver(() => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => { asked = false; watch(); });
    }).observe(document.body, { // texts too: a tab's name is changed in place
      childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["aria-selected", "class"],
    });
  };
  if (document.body) start(); else document.addEventListener("DOMContentLoaded", start);
})();
