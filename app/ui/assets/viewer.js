// The large view: one picture at a whole multiple of its size, its facts, and the ways onward. Works in mid-run.
(() => {
  const lab = window.latentLab;
  const SCALE = 4, MOST = 16; // how large a picture opens, and how large it can be made
  const UNSAID = { batch: 1, strength: 0.75, timestep_spacing: "uniform", variation_strength: 0, negative_prompt: "" }; // nothing to say
  let cells = [], at = 0, dialog, action = null;
  let beside = null; // the cell that is compared with, chosen among `cells`
  let scale = null; // of both pictures; null: what the window has room for

  const build = () => {
    dialog = document.createElement("dialog");
    dialog.id = "viewer";
    dialog.innerHTML = `<div class="shown" tabindex="-1"><img class="other" hidden alt=""><img class="one" alt=""></div>
      <div class="choice" role="group" hidden><span></span></div><p class="facts" role="status"></p><dl></dl><div class="ways"></div>`;
    document.body.append(dialog);
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], to = { "+": larger, "=": larger, "-": smaller }[event.key];
      if (step) { move(step); event.preventDefault(); }
      if (to && !event.ctrlKey && !event.metaKey) zoom(to);
    });
    dialog.addEventListener("wheel", (event) => { // as maps do it; without the key it scrolls
      if (!event.ctrlKey || !event.target.closest(".shown")) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? larger : smaller);
    }, { passive: false });
  };
  const ways = () => [
    ["previous", () => move(-1)], ["next_picture", () => move(1)], ["zoom_in", () => zoom(larger)], ["zoom_out", () => zoom(smaller)],
    ...(cells.length > 1 ? [["compare", () => { beside = beside ? null : cells[(at + cells.length - 1) % cells.length]; draw(); }]] : []),
    ["use_settings", () => act("use")], ["variations", () => act("vary")], ["go_on_from", () => act("start")],
    ["open_denoising", () => openIn("denoising")], ["open_attention", () => openIn("attention")],
    ["copy_settings", (el) => lab.copy(cells[at].dataset.settings, el)],
    ["share", (el) => lab.share(cells[at].dataset, el)], ["download", save], ...keeping(), ["close", () => dialog.close()],
  ];
  const openIn = (name) => { dialog.close(); lab.openIn(name, JSON.parse(cells[at].dataset.settings), cells[at].dataset.file); };
  const keeping = () => { // what a history can do with a picture, where there is one
    const favourite = cells[at].dataset.favourite;
    if (favourite === undefined) return [];
    return [[favourite === "true" ? "unfavourite" : "favourite", favour], ["delete", remove]];
  };
  const favour = () => keep(cells[at].dataset.favourite === "true" ? "unfavour" : "favour", cells[at].dataset.file);
  const remove = (el) => { // the second click means it
    if (el.dataset.way === "delete") {
      el.dataset.way = "delete_sure";
      el.textContent = lab.word("delete_sure");
      return;
    }
    const { file } = cells[at].dataset, goes = new Set([file, ...toKeep.filter((a) => a.do === "delete").map((a) => a.file)]);
    const framed = [...document.querySelectorAll("#stage .cell")].map((cell) => cell.dataset.file);
    const told = document.querySelector("#facts [data-file]")?.dataset.file === file;
    keep("delete", file, { told, last: framed.includes(file) && framed.every((other) => goes.has(other)) });
  };
  const toKeep = []; // asked of the server one after the other: the page shows what has been done
  const keep = (what, file, more = {}) => {
    toKeep.push({ do: what, file, ...more });
    if (toKeep.length === 1) lab.click("keep");
  };
  lab.toKeep = () => toKeep[0];
  const takeOff = (file, all) => {
    const place = cells.findIndex((cell) => cell.dataset.file === file);
    all.forEach((el) => { if (el.matches(".cell")) el.remove(); });
    if (beside?.dataset.file === file) beside = null;
    if (place < 0) return; // other pictures are open by now
    cells.splice(place, 1);
    if (place < at) at -= 1;
  };
  const mark = (favourite, all) => all.forEach((el) => {
    if (el.matches(".cell")) el.dataset.favourite = favourite;
    else el.parentElement.querySelector(".heart")?.setAttribute("aria-pressed", favourite);
  });
  lab.kept = (refused) => { // why it was; "" where it is done, null where the server has not heard of it
    const { do: what, file } = toKeep.shift();
    const all = [...document.querySelectorAll(`[data-file="${CSS.escape(file)}"]`), ...cells.filter((cell) => cell.dataset.file === file)];
    if (refused === "" && what === "delete") takeOff(file, all);
    else if (refused === "") mark(what === "favour", all);
    if (dialog?.open && cells.length) move(0); else dialog?.close();
    if (refused && dialog?.open && cells[at].dataset.file === file) dialog.querySelector(".facts").textContent = refused;
    if (toKeep.length) lab.click("keep");
  };
  const fitting = (img) => { // the largest whole multiple, at most four, that the window has room for
    const room = Math.min(innerWidth * (beside ? 0.42 : 0.86) / img.naturalWidth, innerHeight * 0.66 / img.naturalHeight);
    return room >= 1 ? Math.min(SCALE, Math.floor(room)) : room;
  };
  const refit = () => dialog?.querySelectorAll(".shown img").forEach(fit);
  const fit = (img) => { img.style.width = `${img.naturalWidth * (scale ?? fitting(img))}px`; };
  const larger = (now) => Math.max(Math.floor(now) + 1, Math.floor(1.5 * now));
  const smaller = (now) => Math.min(Math.ceil(now) - 1, Math.round(now / 1.5));
  const zoom = (to) => { // to whole multiples; what no longer fits is scrolled
    const fits = fitting(dialog.querySelector(".one")), now = scale ?? fits, wanted = to(now);
    scale = fits < 1 && wanted <= fits ? null : Math.max(1, Math.min(MOST, wanted));
    refit();
    const shown = dialog.querySelector(".shown"), grown = (scale ?? fits) / now;
    shown.scrollTo((shown.scrollLeft + shown.clientWidth / 2) * grown - shown.clientWidth / 2, (shown.scrollTop + shown.clientHeight / 2) * grown - shown.clientHeight / 2);
  };
  const choices = () => { // which picture stands beside this one
    const choice = dialog.querySelector(".choice"), focused = choice.contains(document.activeElement);
    choice.hidden = !beside;
    choice.setAttribute("aria-label", lab.word("compare_with"));
    choice.firstElementChild.textContent = lab.word("compare_with");
    while (choice.childElementCount > 1) choice.lastElementChild.remove();
    if (beside) choice.append(...cells.filter((cell) => cell !== cells[at]).map((cell) => {
      const pick = Object.assign(document.createElement("button"), { type: "button" });
      const { src, alt } = cell.querySelector("img");
      pick.append(Object.assign(new Image(), { src, alt }));
      pick.setAttribute("aria-pressed", cell === beside);
      pick.addEventListener("click", () => { beside = cell; draw(); });
      return pick;
    }));
    if (focused) choice.querySelector("[aria-pressed=true]")?.focus(); // its keys work on
  };
  const show = (img, cell) => {
    img.onload = () => fit(img);
    img.src = cell.querySelector("img").src;
    img.alt = cell.querySelector("img").alt;
  };
  const draw = () => {
    const cell = cells[at], other = dialog.querySelector(".other");
    show(dialog.querySelector(".one"), cell);
    dialog.setAttribute("aria-label", dialog.querySelector(".one").alt);
    if (beside === cell) beside = cells.length > 1 ? cells[(at + cells.length - 1) % cells.length] : null;
    other.hidden = !beside;
    if (beside) show(other, beside);
    choices();
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
    beside = scale = null;
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
    lab.remember(what === "vary" ? 1 : 0);
    clearTimeout(waiting);
    action = { do: what, settings: JSON.parse(cells[at].dataset.settings), file: cells[at].dataset.file };
    dialog.close();
    document.querySelector("[role=tab][data-tab-id=generate]")?.click();
    lab.click("act");
  };
  lab.takeAction = () => action;
  let waiting;
  const generate = () => { if (!lab.click("generate")) waiting = setTimeout(generate, 300); }; // a run is under way
  lab.acted = (done) => { // what the server has done of it; "" where it refused
    action = null;
    if (done === "vary") generate();
    if (done === "start") { lab.unfold("start"); lab.refitCanvas(); }
    if (!done) lab.blame(); // the line may say the same as before
  };

  window.addEventListener("resize", () => refit()); // a phone that is turned
  window.addEventListener("click", (event) => {
    const heart = event.target.closest?.("#facts .heart");
    if (heart) keep(heart.matches("[aria-pressed=true]") ? "unfavour" : "favour", heart.parentElement.querySelector("[data-file]").dataset.file);
    const cell = event.target.closest?.(".cell");
    if (!cell) return;
    if (!dialog) build();
    open(cell);
  });
})();
