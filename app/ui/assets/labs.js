// Into and out of the labs: links that set their controls, a picture's settings as a lab's generation, plots as files.
(() => {
  const page = window.latentLab;
  // A link into a lab sets its controls here; with a modifier key the browser opens it as any other.
  let followed = 0;
  const follow = (query) => {
    const box = document.querySelector("#lab-link textarea, #lab-link input");
    box.value = `${query}&n=${++followed}`; // the same link twice is two events
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-lab-link], .info-text a[href^='?lab=']");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    document.querySelector("dialog.presenter")?.close();
    follow(link.getAttribute("href"));
  });

  // What labs' controls hold is kept; the lab that is shown has it back after a reload, over what its link says. The other
  // labs begin anew then, and what they held must not come back at a later one.
  const opened = new URLSearchParams(location.search), shown = opened.get("lab");
  const reloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
  const kept = reloaded && JSON.parse(page.keptTab("labs") || "{}")[shown];
  const held = kept ? { [shown]: kept } : {}; // a lab → what its controls hold
  const keepLabs = () => page.keepTab("labs", JSON.stringify(held));
  const keepLab = (lab, names, values) => { held[lab] = page.stateOf(names, values); keepLabs(); };
  keepLabs();
  if (kept) opened.set("state", kept);
  const openedWith = () => `?${opened}`;

  // A picture's settings as a lab's generation, which is run as soon as its controls have them.
  const LISTENS = { denoising: "walked", attention: "read" }; // the panel that keeps a generation
  const openIn = (lab, settings, file) => {
    const panel = LISTENS[lab];
    const state = {
      walk_prompt: settings.prompt, walk_steps: Math.min(settings.steps, 50), // within the lab's bounds
      walk_guidance: Math.min(Math.max(settings.guidance_scale, 1), 15), walk_eta: settings.eta ?? 0,
      walk_seed: settings.seed, walk_opened: file,
    };
    follow(`?${new URLSearchParams({ lab, state: JSON.stringify(state) })}`);
    const run = (tries) => { // prompt and seed may have been these before; the button sleeps while another run is under way
      const has = document.querySelector(`#${panel}-walk_opened :is(input, textarea)`)?.value === file;
      if (!(has && page.click(`${panel}-run`)) && tries) setTimeout(run, 100, tries - 1);
    };
    run(600);
  };
  // A plot's buttons are plain HTML; one hidden button of the lab's tells the server which of them was pressed.
  let asked;
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest(".actions [data-kind]");
    if (!pressed) return;
    asked = { plot: Number(pressed.dataset.plot), kind: pressed.dataset.kind };
    page.click(pressed.closest(".lab").id.replace("lab-", "save-"));
  });
  // A lab draws itself when it is opened; those that are seen do so again when the model has come or the language has gone.
  const redrawShown = () => document.querySelectorAll(".lab[id]").forEach((lab) => {
    if (page.isShown(lab)) page.click(lab.id.replace("lab-", "redraw-"));
  });
  Object.assign(page, { follow, keepLab, openIn, openedWith, redrawShown, takeAsked: () => asked });
})();
