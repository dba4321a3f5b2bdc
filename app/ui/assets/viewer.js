// The large view: one picture at a whole multiple of its size, its facts, and the ways onward. Works in mid-run.
(() => {
  const lab = window.latentLab;
  const SCALE = 4;
  const UNSAID = { batch: 1, strength: 0.75, timestep_spacing: "uniform", variation_strength: 0, negative_prompt: "" }; // nothing to say
  let cells = [], at = 0, compared = false, dialog, action = null;

  const build = () => {
    dialog = document.createElement("dialog");
    dialog.id = "viewer";
    dialog.innerHTML = `<div class="shown"><img class="other" hidden alt=""><img class="one" alt=""></div>
      <p class="facts"></p><dl></dl><div class="ways"></div>`;
    document.body.append(dialog);
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) { move(step); event.preventDefault(); }
    });
  };
  const ways = () => [
    ["previous", () => move(-1)], ["next_picture", () => move(1)], ["compare", () => { compared = !compared; draw(); }],
    ["use_settings", () => act("use")], ["variations", () => act("vary")], ["go_on_from", () => act("start")],
    ["open_denoising", () => openIn("denoising")], ["open_attention", () => openIn("attention")],
    ["copy_settings", (el) => lab.copy(cells[at].dataset.settings, el)],
    ["share", (el) => lab.share(cells[at].dataset.settings, cells[at].dataset.start, el)], ["download", save], ...keeping(), ["close", () => dialog.close()],
  ];
  const openIn = (name) => { dialog.close(); lab.openIn(name, JSON.parse(cells[at].dataset.settings)); };
  const keeping = () => { // what a history can do with a picture, where there is one
    const favourite = cells[at].dataset.favourite;
    if (favourite === undefined) return [];
    return [[favourite === "true" ? "unfavourite" : "favourite", favour], ["delete", remove]];
  };
  const same = () => [cells[at], ...document.querySelectorAll(`.cell[data-file="${CSS.escape(cells[at].dataset.file)}"]`)];
  const favour = () => {
    const now = cells[at].dataset.favourite !== "true";
    keep(now ? "favour" : "unfavour");
    same().forEach((cell) => { cell.dataset.favourite = now; });
    draw();
  };
  const remove = (el) => { // the second click means it
    if (el.dataset.way === "delete") {
      el.dataset.way = "delete_sure";
      el.textContent = lab.word("delete_sure");
      return;
    }
    keep("delete");
    same().forEach((cell) => cell.remove());
    cells.splice(at, 1);
    if (cells.length) move(0); else dialog.close();
  };
  const keep = (what) => {
    action = { do: what, file: cells[at].dataset.file };
    lab.click("keep");
  };
  const fit = (img) => { // the largest whole multiple, at most four, that the window has room for
    const room = Math.min(innerWidth * (compared ? 0.42 : 0.86) / img.naturalWidth, innerHeight * 0.66 / img.naturalHeight);
    const scale = room >= 1 ? Math.min(SCALE, Math.floor(room)) : room;
    img.style.width = `${img.naturalWidth * scale}px`;
  };
  const show = (img, cell) => {
    img.onload = () => fit(img);
    img.src = cell.querySelector("img").src;
    img.alt = cell.querySelector("img").alt;
  };
  const draw = () => {
    const cell = cells[at], other = dialog.querySelector(".other");
    show(dialog.querySelector(".one"), cell);
    other.hidden = !compared || cells.length < 2;
    if (!other.hidden) show(other, cells[(at + cells.length - 1) % cells.length]);
    const made = cell.dataset.made ? new Date(1000 * cell.dataset.made).toLocaleString(document.documentElement.lang) : "";
    dialog.querySelector(".facts").textContent = [cell.dataset.facts, made].filter(Boolean).join(" · ");
    const told = Object.entries(JSON.parse(cell.dataset.settings)).filter(([name, value]) => value !== (UNSAID[name] ?? null));
    dialog.querySelector("dl").replaceChildren(...told.map(([name, value]) => {
      const pair = document.createElement("div"); // a name and its value stay on one line
      pair.append(
        Object.assign(document.createElement("dt"), { textContent: lab.word(name) ?? name.replaceAll("_", " ") }),
        Object.assign(document.createElement("dd"), { textContent: value }),
      );
      return pair;
    }));
    const old = [...dialog.querySelectorAll(".ways button")].indexOf(document.activeElement);
    dialog.querySelector(".ways").replaceChildren(...ways().map(([key, run]) => {
      const el = Object.assign(document.createElement("button"), { type: "button", textContent: lab.word(key) });
      el.dataset.way = key;
      el.addEventListener("click", () => run(el));
      return el;
    }));
    if (old >= 0) dialog.querySelectorAll(".ways button")[old]?.focus(); // its keys work on, and Favourite can be undone
  };
  const move = (step) => { at = (at + step + cells.length) % cells.length; draw(); };
  const open = (cell) => {
    cells = [...cell.parentElement.querySelectorAll(".cell")];
    at = cells.indexOf(cell);
    compared = false;
    draw();
    dialog.showModal();
  };
  const save = () => {
    const link = document.createElement("a");
    link.href = cells[at].querySelector("img").src;
    link.download = cells[at].dataset.file;
    link.click();
  };
  const act = (what) => { // the server fills the form; a variation then starts by itself
    lab.remember();
    clearTimeout(waiting);
    action = { do: what, settings: JSON.parse(cells[at].dataset.settings), file: cells[at].dataset.file };
    dialog.close();
    document.querySelector("[role=tab][data-tab-id=generate]")?.click();
    lab.click("act");
  };
  lab.takeAction = () => action;
  let waiting;
  const generate = () => { if (!lab.click("generate")) waiting = setTimeout(generate, 300); }; // a run is under way
  const vary = () => { if (!document.querySelector("#line .failed")) generate(); }; // refused, the form is the old one
  lab.acted = () => {
    const done = action?.do;
    action = null;
    if (done === "vary") waiting = setTimeout(vary, 200); // once the line has its text
    if (done === "start") { lab.unfold("start"); lab.refitCanvas(); }
    lab.blame();
  };

  window.addEventListener("click", (event) => {
    const cell = event.target.closest?.(".cell");
    if (!cell) return;
    if (!dialog) build();
    open(cell);
  });
})();
