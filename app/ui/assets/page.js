// What the page does without asking the server: keys, theme, language in the address, copying, the connection.
(() => {
  const find = (selector) => document.querySelector(selector);
  const button = (id) => { const el = document.getElementById(id); return el && (el.matches("button") ? el : el.querySelector("button")); };
  const click = (id) => { const el = button(id); if (el && !el.disabled) { el.click(); return true; } return false; };
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window: not kept */ } };
  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const lang = () => new URLSearchParams(location.search).get("lang") ?? find("#state [data-lang]")?.dataset.lang ?? "en";
  const word = (key) => (window.latentLabWords[lang()] ?? window.latentLabWords.en)[key];
  const root = () => (window.gradio_config?.root ?? location.origin).replace(/\/$/, "");
  const escaped = (text) => { const div = document.createElement("div"); div.textContent = text; return div.innerHTML; };

  // Theme: the system's, until the person chooses.
  const applyTheme = () => {
    const chosen = kept("latent-lab-theme");
    if (chosen) document.body.classList.toggle("dark", chosen === "dark");
  };
  const switchTheme = () => {
    keep("latent-lab-theme", document.body.classList.contains("dark") ? "light" : "dark");
    applyTheme();
  };
  let counted = 0;
  const count = () => ++counted; // a number that has not been there yet: a lab's panel that gets it draws itself anew
  const wake = (start = true) => [start, false].map((interactive) => ({ __type__: "update", interactive })); // start and stop, at an end
  const setScaling = (value) => { document.body.dataset.scaling = value; };

  const switchLanguage = () => {
    const address = new URL(location.href);
    address.searchParams.set("lang", lang() === "zh" ? "en" : "zh");
    history.replaceState(null, "", address);
    translate();
    if (inForm) summarise(inForm);
  };
  const translate = () => { // the server translates components; these words stand inside others
    document.documentElement.lang = lang();
    document.querySelectorAll("[data-word]").forEach((el) => { el.textContent = word(el.dataset.word); });
  };

  const settings = () => find("#facts [data-settings]")?.dataset.settings; // of the picture whose facts are shown
  const shownSeed = () => { const text = settings(); return text ? JSON.parse(text).seed : undefined; };
  const copySettings = () => { const text = settings(); if (text) copy(text, button("copy")); };
  const copyByHand = (text) => { // no clipboard without https: the old way
    const area = Object.assign(document.createElement("textarea"), { value: text });
    (find("dialog[open]") ?? document.body).append(area); // outside an open dialog nothing can be selected
    const focused = document.activeElement;
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  };
  const reverts = new WeakMap(); // button → what it says when it does not say "Copied", and the timer that says it again
  const copy = async (text, target) => {
    const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    if (!copied && !copyByHand(text)) {
      window.prompt(target?.textContent ?? "", text); // there it can be selected
      return;
    }
    if (!target?.matches("button")) return;
    const before = reverts.get(target) ?? { text: target.textContent };
    clearTimeout(before.timer);
    target.textContent = word("copied");
    before.timer = setTimeout(() => { target.textContent = before.text; reverts.delete(target); }, 1200);
    reverts.set(target, before);
  };
  const copyLink = (lab, names, values) => {
    const address = new URL(location.href);
    address.searchParams.set("lab", lab);
    address.searchParams.set("state", JSON.stringify(Object.fromEntries(names.map((name, i) => [name, values[i]]))));
    copy(address.href, button(`link-${lab}`));
  };
  const download = (file) => { // one that the server has just made
    if (file?.url) Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name ?? "" }).click();
  };
  // The editor fits a picture to the size it had when it was made, sometimes before it was laid out; a change of
  // size makes it fit again.
  const refitCanvas = () => {
    for (const wait of [400, 1600]) {
      setTimeout(() => {
        const canvas = document.getElementById("canvas");
        if (canvas) canvas.style.marginRight = canvas.style.marginRight ? "" : "1px";
      }, wait);
    }
  };
  // What is typed outlives a reload of its tab, Gradio's own among them: it reloads the page when its stream breaks.
  const keepTab = (key, value) => { try { sessionStorage.setItem(key, value ?? ""); } catch { /* not kept */ } };
  const keptTab = (key) => { try { return sessionStorage.getItem(key); } catch { return null; } };
  // A duplicated tab begins with a copy of the other's memory; where that one answers, this tab has no job yet.
  const JOB = "latent-lab-job", RUNNING = "latent-lab-running";
  let tab = keptTab("latent-lab-tab") || Math.random().toString(36).slice(2);
  keepTab("latent-lab-tab", tab);
  const tabs = new BroadcastChannel("latent-lab-tabs");
  tabs.onmessage = ({ data }) => {
    if (data.asks === tab) tabs.postMessage({ taken: tab });
    if (data.taken === tab) {
      keepTab("latent-lab-tab", tab = Math.random().toString(36).slice(2));
      keepTab(JOB, "");
      keepTab(RUNNING, "");
    }
  };
  tabs.postMessage({ asks: tab });
  const keepJob = (id) => keepTab(JOB, id);
  const keptJob = (id) => keptTab(JOB) ?? id;
  const parsed = (text) => { try { return JSON.parse(text) ?? {}; } catch { return {}; } };
  let inForm = null; // what was in the form when it last changed
  let filled = false; // until the form has what was kept, its defaults must not take the place of that
  const typed = new Set(); // ids of what the person has written into meanwhile, which stays
  const keepForm = (names, values) => {
    const form = inForm = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    if (fault && valueOf(fault.name, form) !== fault.value) acquit();
    summarise(form);
    window.latentLab.liveForm(form);
    if (filled) keepTab("latent-lab-form", JSON.stringify(form));
  };
  const keptForm = (names) => { // undefined leaves a field as it is
    filled = true;
    const shared = linked();
    const form = shared ?? parsed(keptTab("latent-lab-form"));
    const isTyped = (name) => typed.has(name.replaceAll("_", "-"));
    if (shared) { history.replaceState(null, "", location.pathname + location.search); if (shared.start) banner("start_missing"); }
    const shown = (name) => (/seed$/.test(name) && form[name] !== undefined ? `${form[name] ?? ""}` : form[name]);
    return names.map((name) => (isTyped(name) ? undefined : shown(name)));
  };
  // What was in the form before something else filled it, for Undo.
  let before = null;
  const remember = () => { before = parsed(keptTab("latent-lab-form")); document.body.classList.add("can-undo"); };
  const undo = (names) => {
    const form = before ?? {};
    document.body.classList.remove("can-undo");
    return names.map((name) => form[name]);
  };
  const summarise = (form) => { // what Advanced says while it is folded
    const seed = `${word("seed")} ${form.seed || word("seed_random")}`;
    const said = [`${form.steps}`, `${form.guidance_scale}`, form.sampler, seed].join(" · ");
    find("#advanced > button")?.setAttribute("data-summary", `(${said})`);
    const trained = Number(find("[data-trained]")?.dataset.trained ?? Infinity);
    document.body.classList.toggle("too-large", Math.max(form.width, form.height) > trained);
    window.latentLab.markChips();
  };
  // A link carries all settings in its fragment, which no server sees.
  const linked = () => {
    const text = new URLSearchParams(location.hash.slice(1)).get("settings");
    return text ? parsed(text) : null;
  };
  const share = (settings, start, target) => { // a start picture cannot travel in a link: whoever opens it is told
    if (start) settings = JSON.stringify({ ...JSON.parse(settings), start });
    const address = new URL(location.href);
    for (const name of ["lab", "state"]) address.searchParams.delete(name); // it opens Generate
    address.hash = new URLSearchParams({ settings }).toString();
    copy(address.href, target);
  };
  const shareShown = () => { const text = settings(); if (text) share(text, find("#facts [data-settings]").dataset.start, button("share")); };

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
    return [{ ...update, info: awake ? info[lang()] : word(why) }, update];
  };
  const samplerSays = (name) => word(`sampler_${name}`) ?? "";
  const onClick = (event) => {
    const offer = event.target.closest?.("[data-replace]");
    if (offer) say(prompt().value.replace(asWord(offer.dataset.replace), () => offer.dataset.by));
    if (event.target.closest?.("[data-load]")) loadStart();
    const press = event.target.closest?.("[data-press]");
    if (press) click(press.dataset.press);
  };
  const loadStart = (tries = 20) => { // the canvas is made when its section opens
    unfold("start");
    const chooser = find("#canvas input[type=file]");
    if (!chooser) { if (tries) setTimeout(loadStart, 100, tries - 1); return; }
    find("#start").scrollIntoView({ block: "nearest" });
    chooser.click();
  };

  // A refusal stands beside the field it is about, which is marked until it changes.
  const unfold = (id) => { // what is folded away is not on the page at all
    const header = find(`#${id} > button`);
    if (header && !header.classList.contains("open")) header.click();
  };
  let fault = null; // what is refused just now: the sentence, its field's name, the value that it is about
  const valueOf = (name, form) => JSON.stringify(form?.[name]);
  const acquit = () => {
    fault.said.hidden = Boolean(fault.said.dataset.field); // else it is about something else by now
    fault.field?.classList.remove("fault");
    fault.text?.remove();
    fault = null;
  };
  const blame = () => {
    const said = find("#line [data-field]");
    if (fault && said && fault.words === said.textContent) return;
    if (fault) acquit();
    if (!said) return;
    said.hidden = false;
    const id = said.dataset.field, name = id.replaceAll("-", "_");
    fault = { said, words: said.textContent, name, value: valueOf(name, inForm) };
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
      field.classList.add("fault");
      field.append(text);
      Object.assign(marked, { field, text });
    }
    if (field.checkVisibility({ visibilityProperty: true })) field.querySelector("input, textarea")?.focus(); else again();
  };

  // Pictures at a whole multiple of their own pixels; larger ones than there is room for are made to fit.
  const fit = (img) => {
    const { width, height } = img.parentElement.getBoundingClientRect();
    if (!width) return; // another tab is shown; when this one is, its stage grows and all are fitted
    const room = Math.min(width / img.naturalWidth, height / img.naturalHeight), dots = devicePixelRatio;
    const scale = room * dots >= 1 ? Math.floor(room * dots + 0.01) / dots : room;
    img.style.width = `${img.naturalWidth * scale}px`;
    img.style.height = `${img.naturalHeight * scale}px`;
  };
  const fitAll = () => document.querySelectorAll(".cell img, #live img").forEach((img) => { if (img.naturalWidth) fit(img); });
  const line = (key) => `<div class="line"><span>${escaped(word(key))}</span></div>`;

  // Enter generates, Shift+Enter breaks the line, Escape stops. Enter that ends a Chinese word is none of these.
  const onKey = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && event.target.closest?.("#prompt, #negative-prompt") && event.target.matches("textarea, input")) {
      event.stopImmediatePropagation();
      if (event.shiftKey) return;
      event.preventDefault();
      click("generate");
    } else if (event.key === "Escape" && !find("[aria-expanded=true][role=combobox], [role=dialog], dialog[open]")) {
      if (find("#generate-tab")?.checkVisibility()) click("stop"); // in another tab Escape means something else
    }
  };

  // The connection: looked after while the page is seen; when it comes back, so does the running job.
  let lost = false, late = 0;
  const healthy = async () => {
    try {
      const answer = await fetch(`${root()}/healthz`, { cache: "no-store", signal: AbortSignal.timeout(4000) });
      late = 0;
      return answer.ok;
    } catch (error) { // a server that is gone refuses at once; one answer may be late where many are asked for
      return error.name === "TimeoutError" && ++late < 2;
    }
  };
  const watchConnection = async () => {
    if (!document.hidden) {
      const now = !(await healthy()) || (lost && !(await whole()));
      if (lost && !now) document.getElementById("resume")?.click();
      if (lost !== now) banner(now ? "lost" : "found");
      await header(now);
      lost = now;
    }
    setTimeout(watchConnection, lost ? 1500 : 3500); // a server that is gone is told of within 5 s
  };
  const whole = async () => { // started again, a server answers long before its page and its model are there
    try {
      const state = await (await fetch(`${root()}/readyz`, { cache: "no-store" })).json();
      return ["ready", "failed"].includes(state.status) && Boolean((await (await fetch(`${root()}/gradio_api/app_id`, { cache: "no-store" })).json()).app_id);
    } catch {
      return false;
    }
  };
  const header = async (isLost) => { // says what the server says of itself, as long as it says anything
    let said = { phase: "failed", text: word("state_offline") };
    try {
      const told = await (await fetch(`${root()}/state?lang=${lang()}`, { cache: "no-store", signal: AbortSignal.timeout(4000) })).json();
      if (!isLost || told.phase === "loading") said = told;
    } catch { if (!isLost) return; } // late, not gone
    const state = find("#state .state");
    if (!state || (state.textContent === said.text && state.classList.contains(said.phase))) return;
    state.innerHTML = `<i class="dot"></i>${escaped(said.text)}`;
    state.className = `state ${said.phase}`;
  };
  const banner = (key) => {
    let el = document.getElementById("connection");
    if (!el) {
      el = Object.assign(document.createElement("div"), { id: "connection" });
      el.setAttribute("role", "alert");
      document.body.append(el);
    }
    el.className = key;
    el.textContent = word(key);
    if (key === "found") setTimeout(() => { if (el.className === "found") el.remove(); }, 2500);
  };

  window.latentLab = {
    line, word, blame, copy, click, copyLink, copySettings, count, download, fit, keepForm, keepJob, keepTab, keptForm, keptJob, keptTab, prompt, refitCanvas, remember,
    root, samplerSays, say, setScaling, share, shareShown, shownSeed, sleep, switchLanguage, switchTheme, takePasted, undo, unfold, wake,
  };
  window.addEventListener("click", onClick);
  window.addEventListener("input", onInput);
  document.addEventListener("load", (event) => { if (event.target.matches?.(".cell img")) fit(event.target); }, true);
  window.addEventListener("resize", fitAll);
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("keypress", (event) => { // Gradio's own meaning of Shift+Enter: submit
    if (event.key === "Enter" && event.target.closest?.("#prompt, #negative-prompt")) event.stopImmediatePropagation();
  }, true);
  const start = () => {
    new MutationObserver((changes, observer) => { // Gradio sets the system's theme once, when it mounts
      if (find("#prompt") && find("#stage") && find("#line") && find("#history")) {
        applyTheme();
        translate();
        const whenever = (parts, act) => { // Gradio writes new HTML into the elements that are there
          const watch = new MutationObserver(act), attributeFilter = ["src", "class", "data-file", "data-field", "data-favourite"];
          parts.forEach((part) => watch.observe(part, { childList: true, subtree: true, characterData: true, attributeFilter }));
        };
        whenever([find("#stage"), find("#history")], () => window.latentLab.onStage());
        whenever([find("#line")], lineChanged);
        const shown = new ResizeObserver(fitAll);
        document.querySelectorAll("#stage, #live").forEach((el) => shown.observe(el));
        const mark = window.latentLab.markChips;
        if (find("#chips")) whenever([find("#chips")], mark);
        mark();
        observer.disconnect();
      }
    }).observe(document.body, { childList: true, subtree: true });
    applyTheme();
    setTimeout(watchConnection, 3500);
  };
  if (document.body) start(); else document.addEventListener("DOMContentLoaded", start);
})();
