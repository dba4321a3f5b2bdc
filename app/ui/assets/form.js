// What is typed and chosen: kept against reloads, taken back by Undo, carried by a link.
(() => {
  const lab = window.latentLab, { find, word, copy, click, button, settings, keepTab, keptTab } = lab;
  const parsed = (text) => { try { return JSON.parse(text) ?? {}; } catch { return {}; } };
  let inForm = null; // what was in the form when it last changed
  let filled = false; // until the form has what was kept, its defaults must not take the place of that
  const typed = new Set(); // ids of what the person has written into until then, which stays
  const keepForm = (names, values) => {
    const form = inForm = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    lab.judgeAgain(form);
    summarise();
    lab.liveForm(form);
    if (filled) keepTab("form", JSON.stringify(form));
  };
  const keptForm = (names) => { // undefined leaves a field as it is
    if (!filled && keptTab("start")) { lab.banner("start_again"); keepTab("start", ""); } // the canvas went with the page
    filled = true;
    const shared = linked();
    const form = shared ?? parsed(keptTab("form"));
    const isTyped = (name) => typed.has(name.replaceAll("_", "-"));
    if (shared) { history.replaceState(null, "", location.pathname + location.search); if (shared.start) lab.banner("start_missing"); }
    const shown = (name) => (/seed$/.test(name) && form[name] !== undefined ? `${form[name] ?? ""}` : form[name]);
    const values = names.map((name) => (isTyped(name) ? undefined : shown(name)));
    typed.clear();
    return values;
  };
  const startKnown = () => find("#connection:is(.start_again, .start_missing)")?.remove(); // no need to be told any longer
  const noteStart = (has) => { // whether a picture is on the canvas
    keepTab("start", has ? "yes" : "");
    if (has) startKnown();
  };
  // What was in the form before something else filled it, for Undo: until the next run, but a variation's own.
  let before = {}, outlives = 0;
  const remember = (runs = 0) => {
    [before, outlives] = [inForm ?? {}, runs];
    document.body.classList.add("can-undo");
  };
  const forget = () => document.body.classList.remove("can-undo");
  const formSent = () => {
    startKnown();
    if (outlives) outlives -= 1; else forget();
  };
  const undo = (names) => {
    forget();
    return names.map((name) => before[name]);
  };
  const summarise = (form = inForm) => { // what Advanced says while it is folded
    if (!form) return;
    const seed = `${word("seed")} ${form.seed || word("seed_random")}`;
    const scale = Number.isInteger(form.guidance_scale) ? form.guidance_scale.toFixed(1) : form.guidance_scale;
    const said = [word("steps_count").replace("{steps}", form.steps), scale, form.sampler, seed].join(" · ");
    find("#advanced > button")?.setAttribute("data-summary", `(${said})`);
    const trained = Number(find("[data-trained]")?.dataset.trained ?? Infinity);
    document.body.classList.toggle("too-large", Math.max(form.width, form.height) > trained);
    lab.markChips();
  };
  // A link carries all settings in its fragment, which no server sees.
  const linked = () => {
    const text = new URLSearchParams(location.hash.slice(1)).get("settings");
    if (!text) return null;
    const fits = ([name, value]) => typeof value === "string" || (typeof value === "number" && !/prompt$/.test(name));
    return Object.fromEntries(Object.entries(parsed(text)).filter(fits)); // anybody may have written it
  };
  // A picture by its data: settings, model, start. A start picture cannot travel in a link: whoever opens it is told.
  const share = ({ settings, model, start }, target) => {
    settings = JSON.stringify({ ...JSON.parse(settings), model, start });
    const address = new URL(location.href);
    for (const name of ["lab", "state"]) address.searchParams.delete(name); // it opens Generate
    address.hash = new URLSearchParams({ settings }).toString();
    copy(address.href, target);
  };
  const shareShown = () => { if (settings()) share(find("#facts [data-settings]").dataset, button("share")); };

  // Words put into the prompt as if they were typed, so that Ctrl-Z takes them out again.
  const prompt = () => find("#prompt textarea");
  const say = (text) => {
    const box = prompt();
    if (!box || !text || box.value === text) return;
    box.focus();
    box.select();
    document.execCommand("insertText", false, text);
  };
  const asWord = (text) => { // not where it is a part of a longer one
    const [plain, edge] = [text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), (sign) => (/\w/.test(sign) ? "\\b" : "")];
    return new RegExp(`${edge(text[0])}${plain}${edge(text.at(-1))}`, "i");
  };
  // Settings as other programs write them, pasted into the prompt: a button offers to fill the form with them.
  const SETTINGS = /(^|\n)\s*Steps: *\d+ *,.*(Sampler|CFG scale|Seed):/;
  const onInput = (event) => {
    if (event.target === prompt()) document.body.classList.toggle("can-fill", SETTINGS.test(event.target.value));
    const field = filled ? null : event.target.closest?.("#ask [id], #controls [id]");
    for (let el = field; el; el = el.parentElement) typed.add(el.id.replace(/-slider$/, ""));
  };
  const takePasted = (text) => {
    remember();
    document.body.classList.remove("can-fill");
    return text;
  };
  // What has no effect sleeps, and says why: updates of a field that is awake or not, and of the slider beside it.
  const sleep = (awake, info, why) => {
    const update = { __type__: "update", interactive: awake };
    return [{ ...update, info: awake ? info[lab.lang()] : word(why) }, update];
  };
  const samplerSays = (name) => word(`sampler_${name}`) ?? "";
  const onClick = (event) => {
    const offer = event.target.closest?.("[data-replace]");
    if (offer) say(prompt().value.replace(asWord(offer.dataset.replace), () => offer.dataset.by));
  };
  const onLink = () => { // a link that is opened in this tab
    if (!linked()) return;
    remember();
    find("[role=tab][data-tab-id=generate]")?.click();
    click("take-link");
  };
  Object.assign(lab, {
    formSent, keepForm, keptForm, noteStart, prompt, remember, samplerSays, say, share, shareShown, sleep, summarise, takePasted, undo,
  });
  window.addEventListener("click", onClick);
  window.addEventListener("hashchange", onLink);
  window.addEventListener("input", onInput);
})();
