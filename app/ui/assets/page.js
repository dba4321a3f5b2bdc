// What the page does without asking the server: keys, theme, language in the address, copying, the connection.
(() => {
  const find = (selector) => document.querySelector(selector);
  const button = (id) => { const el = document.getElementById(id); return el && (el.matches("button") ? el : el.querySelector("button")); };
  const click = (id) => { const el = button(id); if (el && !el.disabled) { el.click(); return true; } return false; };
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window: not kept */ } };
  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const lang = () => new URLSearchParams(location.search).get("lang") ?? find("#state [data-lang]")?.dataset.lang ?? "en";
  const word = (key) => (window.latentLabWords[lang()] ?? window.latentLabWords.en)[key];
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
  const setScaling = (value) => { document.body.dataset.scaling = value; };

  const switchLanguage = () => {
    const address = new URL(location.href);
    address.searchParams.set("lang", lang() === "zh" ? "en" : "zh");
    history.replaceState(null, "", address);
    translate();
  };
  const translate = () => { // the server translates components; these words stand inside others
    document.documentElement.lang = lang();
    document.querySelectorAll("[data-word]").forEach((el) => { el.textContent = word(el.dataset.word); });
  };

  const settings = () => find("#facts [data-settings]")?.dataset.settings;
  const shownSeed = () => { const text = settings(); return text ? JSON.parse(text).seed : undefined; };
  const rollSeed = () => Math.floor(Math.random() * 2 ** 31); // leaves room for the seeds of a batch
  const copySettings = () => { const text = settings(); if (text) copy(text, button("copy")); };
  const copy = async (text, target) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no clipboard without https: the old way
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const before = target.textContent;
    target.textContent = word("copied");
    setTimeout(() => { target.textContent = before; }, 1200);
  };
  const copyLink = (lab, names, values) => {
    const address = new URL(location.href);
    address.searchParams.set("lab", lab);
    address.searchParams.set("state", JSON.stringify(Object.fromEntries(names.map((name, i) => [name, values[i]]))));
    copy(address.href, document.activeElement);
  };
  const download = () => { // the file has just been made for the hidden link beside the button
    const wait = () => { const link = find(".lab-file a[href]"); if (link) link.click(); };
    setTimeout(wait, 50);
  };
  // The editor fits a picture to the size it had when it was made, sometimes before it was laid out; a change of
  // size makes it fit again.
  const refitCanvas = () => {
    const canvas = document.getElementById("canvas");
    for (const wait of [400, 1600]) {
      setTimeout(() => { canvas.style.marginRight = canvas.style.marginRight ? "" : "1px"; }, wait);
    }
  };
  // What is typed outlives a reload of its tab, Gradio's own among them: it reloads the page when its stream breaks.
  let filled = false; // until the form has what was kept, its defaults must not take the place of that
  const keepForm = (names, values) => {
    if (!filled) return;
    const form = JSON.stringify(Object.fromEntries(names.map((name, i) => [name, values[i]])));
    try { sessionStorage.setItem("latent-lab-form", form); } catch { /* not kept */ }
  };
  const keptForm = (names) => { // undefined leaves a field as it is
    filled = true;
    let form = {};
    try { form = JSON.parse(sessionStorage.getItem("latent-lab-form")) ?? {}; } catch { /* nothing kept */ }
    return names.map((name) => form[name]);
  };
  const line = (key) => `<div class="line"><span>${escaped(word(key))}</span></div>`;

  // Enter generates, Shift+Enter breaks the line, Escape stops. Enter that ends a Chinese word is none of these.
  const onKey = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && event.target.closest?.("#prompt, #negative") && event.target.matches("textarea, input")) {
      event.stopImmediatePropagation();
      if (event.shiftKey) return;
      event.preventDefault();
      click("generate");
    } else if (event.key === "Escape" && !find("[aria-expanded=true][role=combobox], [role=dialog]")) {
      click("stop");
    }
  };

  // The connection: looked after while the page is seen; when it comes back, so does the running job.
  let lost = false;
  const healthy = async () => {
    const root = (window.gradio_config?.root ?? location.origin).replace(/\/$/, "");
    try {
      return (await fetch(`${root}/healthz`, { cache: "no-store", signal: AbortSignal.timeout(4000) })).ok;
    } catch {
      return false;
    }
  };
  const watchConnection = async () => {
    if (!document.hidden) {
      const now = !(await healthy());
      if (lost && !now) document.getElementById("resume")?.click();
      if (lost !== now) banner(now ? "lost" : "found");
      lost = now;
    }
    setTimeout(watchConnection, lost ? 1500 : 5000);
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

  window.latentLab = { line, copyLink, copySettings, count, download, keepForm, keptForm, refitCanvas, rollSeed, setScaling, shownSeed, switchLanguage, switchTheme };
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("keypress", (event) => { // Gradio's own meaning of Shift+Enter: submit
    if (event.key === "Enter" && event.target.closest?.("#prompt, #negative")) event.stopImmediatePropagation();
  }, true);
  const start = () => {
    new MutationObserver((changes, observer) => { // Gradio sets the system's theme once, when it mounts
      if (find("#prompt")) { applyTheme(); translate(); observer.disconnect(); }
    }).observe(document.body, { childList: true, subtree: true });
    applyTheme();
    setTimeout(watchConnection, 5000);
  };
  if (document.body) start(); else document.addEventListener("DOMContentLoaded", start);
})();
