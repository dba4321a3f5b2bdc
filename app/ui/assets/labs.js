// What the labs do in the browser: the overview's player, links into labs, the menu of tabs on a phone, lessons shown large.
(() => {
  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const SECONDS = { stage: 1.4, step: 0.35 }; // how long a moment of the play is shown

  // Plays a generation that is already here, moment by moment. With reduced motion each press of Play is one moment.
  class Overview extends HTMLElement {
    connectedCallback() {
      this.before = Number(this.dataset.before);
      this.last = Number(this.dataset.frames) - 1;
      this.range = this.querySelector("input[type=range]");
      this.play = this.querySelector("[data-do=play]");
      this.range.addEventListener("input", () => { this.stop(); this.show(Number(this.range.value)); });
      this.addEventListener("click", (event) => {
        const does = event.target.closest("[data-do]")?.dataset.do;
        if (does === "play") { if (this.timer) this.stop(); else this.start(); }
        if (does === "back" || does === "next") { this.stop(); this.show(this.at + (does === "next" ? 1 : -1)); }
      });
      this.show(this.last);
    }
    disconnectedCallback() { this.stop(); }
    start() {
      if (this.at >= this.last) this.show(0); else if (calm()) this.show(this.at + 1);
      if (!calm()) this.next();
    }
    next() {
      this.turn("pause", "❚❚");
      const looping = this.at >= this.before && this.at < this.last - 1;
      this.timer = setTimeout(() => {
        this.show(this.at + 1);
        if (this.at < this.last) this.next(); else this.stop();
      }, 1000 * (looping ? SECONDS.step : SECONDS.stage));
    }
    stop() { clearTimeout(this.timer); this.timer = undefined; this.turn("play", "▶"); }
    turn(does, sign) { // what a press of the button does, in a sign and in a word
      this.play.textContent = sign;
      this.play.setAttribute("aria-label", this.play.dataset[does]);
    }
    show(frame) {
      this.at = Math.max(0, Math.min(this.last, frame));
      this.range.value = this.at;
      const step = Math.max(0, this.at - this.before);
      const stage = this.at < this.before ? this.at : this.at < this.last ? this.before : this.before + 1;
      this.querySelectorAll("[data-stage]").forEach((el) => {
        const k = Number(el.dataset.stage);
        el.classList.toggle("now", k === stage);
        el.classList.toggle("later", k > stage);
      });
      this.querySelectorAll("[data-step]").forEach((el) => { el.hidden = Number(el.dataset.step) !== step; });
      this.querySelectorAll("[data-frame]").forEach((el) => { el.hidden = Number(el.dataset.frame) !== this.at; });
    }
  }
  customElements.define("latent-overview", Overview);

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

  // A picture's settings as a lab's generation, which is run as soon as its controls have them.
  const LISTENS = { denoising: "walked", attention: "read" }; // the panel that keeps a generation
  const openIn = (lab, settings) => {
    const panel = LISTENS[lab];
    const state = {
      walk_prompt: settings.prompt, walk_steps: Math.min(settings.steps, 50), walk_guidance: settings.guidance_scale,
      walk_eta: settings.eta ?? 0, walk_seed: settings.seed,
    };
    follow(`?${new URLSearchParams({ lab, state: JSON.stringify(state) })}`);
    const run = (tries) => {
      const seen = (name) => document.querySelector(`#${panel}-${name} :is(input, textarea)`)?.value;
      if (seen("walk_prompt") === state.walk_prompt && seen("walk_seed") === `${state.walk_seed}`) window.latentLab.click(`${panel}-run`);
      else if (tries) setTimeout(run, 100, tries - 1);
    };
    setTimeout(run, 300, 100);
  };
  Object.assign(window.latentLab, { openIn });

  // A plot's buttons are plain HTML; one hidden button of the lab's tells the server which of them was pressed.
  let asked;
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest(".actions button");
    if (pressed?.dataset.present) present(pressed.dataset.present);
    if (pressed?.dataset.print) printLesson(pressed.dataset.print);
    if (!pressed?.dataset.kind) return;
    asked = { plot: Number(pressed.dataset.plot), kind: pressed.dataset.kind };
    window.latentLab.click(pressed.closest(".lab").id.replace("lab-", "save-"));
  });
  window.latentLab.takeAsked = () => asked;

  // Tabs that do not fit hide behind an ellipsis in Gradio; on a narrow page a menu of all of them takes their place.
  const tabs = () => [...document.querySelectorAll(".tab-container [role=tab], .overflow-dropdown [role=tab], .overflow-dropdown button")]
    .filter((tab) => !tab.closest("[aria-hidden=true]"));
  const fillMenu = () => {
    const wrapper = document.querySelector(".tab-wrapper");
    if (!wrapper) return;
    let menu = document.getElementById("tab-menu");
    if (!menu) {
      menu = Object.assign(document.createElement("select"), { id: "tab-menu" });
      menu.addEventListener("change", () => tabs().find((tab) => tab.textContent.trim() === menu.value)?.click());
      wrapper.before(menu);
    }
    const names = tabs().map((tab) => tab.textContent.trim());
    if (names.join() !== [...menu.options].map((option) => option.value).join()) {
      menu.replaceChildren(...names.map((name) => new Option(name, name)));
    }
    const shown = tabs().find((tab) => tab.getAttribute("aria-selected") === "true" || tab.classList.contains("selected"));
    if (shown) menu.value = shown.textContent.trim();
    menu.setAttribute("aria-label", document.documentElement.lang === "zh" ? "页面" : "Page");
  };

  // The tab that is shown stands in the address, so that Back, Forward and a reload come to it.
  let at = "generate";
  const shownTab = () => {
    const shown = [...document.querySelectorAll("#generate-tab, #history-tab, .lab[id]")].find((el) => el.checkVisibility());
    return shown?.id.replace(/^lab-|-tab$/g, "");
  };
  const noteTab = () => {
    const key = shownTab();
    if (!key || key === at) return;
    at = key;
    const address = new URL(location.href);
    if (key === (address.searchParams.get("lab") ?? "generate")) return; // the address was there first
    address.searchParams.delete("state");
    if (key === "generate") address.searchParams.delete("lab"); else address.searchParams.set("lab", key);
    history.pushState(null, "", address);
  };
  window.addEventListener("popstate", () => {
    const query = new URLSearchParams(location.search);
    if (!query.has("lab")) query.set("lab", "generate");
    if (query.get("lab") !== at || query.has("state")) follow(`?${query}`);
  });

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
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: window.latentLab.word("close") });
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

  // Gradio names a slider and its number in English whatever the page's language.
  const NAMED = { "range slider for ": "slider", "number input for ": "slider_number" };
  const nameSliders = () => {
    if (document.documentElement.lang !== "zh") return;
    for (const [english, key] of Object.entries(NAMED)) {
      for (const input of document.querySelectorAll(`input[aria-label^="${english}"]`)) {
        input.ariaLabel = window.latentLab.word(key).replace("{name}", input.ariaLabel.replace(english, ""));
      }
    }
  };

  // A lab opened before the model was there draws itself when it is.
  let ready = false;
  const redrawShown = () => document.querySelectorAll(".lab[id]").forEach((lab) => { // others are drawn when opened
    if (lab.checkVisibility()) window.latentLab.click(lab.id.replace("lab-", "redraw-"));
  });
  Object.assign(window.latentLab, { redrawShown });
  const watch = () => {
    window.latentLab.settle();
    fillMenu();
    nameSliders();
    markLessons();
    noteTab();
    const now = Boolean(document.querySelector("#state .state.ready"));
    if (now && !ready) redrawShown();
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
