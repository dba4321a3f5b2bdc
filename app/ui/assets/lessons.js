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

  // A lesson one step at a time, large: arrows, space and clicks go on, Escape and Close leave. What the lab shows stands beside it.
  const present = (key) => {
    const lesson = document.querySelector(`[data-lesson="${key}"]`);
    if (!lesson) return;
    const dialog = Object.assign(document.createElement("dialog"), { className: "presenter", tabIndex: -1 });
    dialog.setAttribute("aria-label", lesson.closest(".lesson-card")?.querySelector("button span")?.textContent.trim() ?? "");
    const slides = [...lesson.querySelectorAll("section")].map((section) => {
      const slide = section.cloneNode(true);
      slide.querySelectorAll("details").forEach((el) => { el.open = true; });
      const shown = lesson.closest(".lab")?.querySelector(".figures, .overview .stack")?.cloneNode(true);
      if (slide.dataset.beat === "see" && shown) slide.append(shown);
      return slide;
    });
    const count = Object.assign(document.createElement("p"), { className: "count" });
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: page.word("close") });
    let at = 0;
    const show = (k) => {
      at = Math.max(0, Math.min(slides.length - 1, k));
      slides.forEach((slide, i) => { slide.hidden = i !== at; });
      count.textContent = `${at + 1} / ${slides.length}`;
    };
    dialog.append(...slides, count, close);
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1 }[event.key];
      if (event.key === " " && event.target === close) return; // there it presses
      if (by) { event.preventDefault(); show(at + by); }
    });
    dialog.addEventListener("click", (event) => { if (!event.target.closest("a, button")) show(at + 1); });
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    show(0);
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
