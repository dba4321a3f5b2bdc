// Lessons: beside their lab, one step at a time in large type, on paper.
(() => {
  const page = window.latentLab;
  // A lesson that opens beside its lab makes that narrower: plots fit themselves to a window that has changed. The lab
  // is marked here because `:has` in its place makes plotly's measuring of each label cost ten milliseconds and more.
  const markLessons = () => {
    for (const lab of document.querySelectorAll(".lab[id]")) {
      const open = Boolean(lab.querySelector(":scope > .lesson-card > button.open"));
      if (open === lab.hasAttribute("data-lesson-open")) continue;
      lab.toggleAttribute("data-lesson-open", open);
      setTimeout(() => window.dispatchEvent(new Event("resize")), 50);
    }
  };

  // What the panel that a lesson is about shows just now, each once: pictures, drawings, plots.
  const VIEWS = ".figures, .colour-bar:not(figure *), .drawing, .sheet, .svg-container";
  const viewOf = (panel) => {
    const view = Object.assign(document.createElement("div"), { className: "view plot" });
    const shown = [...document.querySelectorAll(`#panel-${panel} .panel-view :is(${VIEWS})`)].map((el) => el.outerHTML).join("");
    view.innerHTML = shown.replace(/\bid="|url\((?:&quot;|')?#/g, "$&seen-"); // a plot that is drawn anew clips its own lines
    view.querySelectorAll(".modebar-container").forEach((el) => el.remove());
    return view;
  };

  // A lesson one step at a time, large: arrows, space and clicks go on, Escape and Close leave, and a link of its into the
  // lab too; so it goes on where it was. With "See" stands what the panel it is about shows.
  const places = {}; // a lesson → the step it was left at
  const present = (key) => {
    const lesson = document.querySelector(`[data-lesson="${key}"]`);
    if (!lesson) return;
    const dialog = Object.assign(document.createElement("dialog"), { className: "presenter", tabIndex: -1 });
    dialog.setAttribute("aria-label", lesson.closest(".lesson-card")?.querySelector("button span")?.textContent.trim() ?? "");
    const slides = [...lesson.querySelectorAll("section")].map((section) => {
      const slide = section.cloneNode(true);
      slide.querySelectorAll("details").forEach((el) => { el.open = true; });
      if (slide.dataset.beat === "see" && lesson.dataset.panel) slide.append(viewOf(lesson.dataset.panel));
      return slide;
    });
    const last = slides.length - 1, count = Object.assign(document.createElement("p"), { className: "count" });
    const [back, close] = ["play_back", "close"].map((name) => {
      return Object.assign(document.createElement("button"), { type: "button", textContent: page.word(name) });
    });
    const buttons = document.createElement("nav");
    buttons.append(back, close);
    let at = 0;
    const show = (k) => {
      at = Math.max(0, Math.min(last, k));
      places[key] = at < last ? at : 0;
      slides.forEach((slide, i) => { slide.hidden = i !== at; });
      count.textContent = `${at + 1} / ${slides.length}`;
    };
    dialog.append(...slides, count, buttons);
    back.addEventListener("click", () => show(at - 1));
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1 }[event.key];
      if (event.key === " " && event.target.matches("button")) return; // there it presses
      if (by) { event.preventDefault(); show(at + by); }
    });
    dialog.addEventListener("click", (event) => { if (!event.target.closest("a, button")) show(at + 1); });
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    show(places[key] ?? 0);
    dialog.showModal();
    dialog.focus(); // else Close has it, and space leaves
  };
  const printLesson = (key) => {
    const lesson = document.querySelector(`[data-lesson="${key}"]`);
    if (!lesson) return;
    const sheet = Object.assign(document.createElement("div"), { className: "print-sheet" });
    sheet.append(lesson.cloneNode(true));
    sheet.querySelectorAll("details").forEach((el) => { el.open = true; });
    document.body.append(sheet);
    addEventListener("afterprint", () => sheet.remove(), { once: true });
    print();
  };
  document.addEventListener("click", (event) => {
    const { present: shown, print: printed } = event.target.closest(".actions button")?.dataset ?? {};
    if (shown) present(shown);
    if (printed) printLesson(printed);
  });
  Object.assign(page, { markLessons });
})();
