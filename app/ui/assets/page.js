// What the page does without asking the server: keys, theme, language in the address, copying, pictures' sizes.
(() => {
  const find = (selector) => document.querySelector(selector);
  const button = (id) => { const el = document.getElementById(id); return el && (el.matches("button") ? el : el.querySelector("button")); };
  const click = (id) => { const el = button(id); if (el && !el.disabled) { el.click(); return true; } return false; };
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window: not kept */ } };
  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const lang = () => new URLSearchParams(location.search).get("lang") ?? find("#state [data-lang]")?.dataset.lang ?? "en";
  const word = (key) => (window.latentLabWords[lang()] ?? window.latentLabWords.en)[key];
  const root = () => (window.gradio_config?.root ?? location.origin).replace(/\/$/, "");
  const isShown = (el) => Boolean(el?.checkVisibility ? el.checkVisibility() : el?.getClientRects().length); // Safari before 17.4
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
    window.latentLab.summarise();
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
  const stateOf = (names, values) => JSON.stringify(Object.fromEntries(names.map((name, i) => [name, values[i]])));
  const copyLink = (lab, names, values) => {
    const address = new URL(location.href);
    address.searchParams.set("lab", lab);
    address.searchParams.set("state", stateOf(names, values));
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
  const onClick = (event) => {
    const press = event.target.closest?.("[data-press]");
    if (press) click(press.dataset.press);
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
    if (event.isComposing || event.keyCode === 229) return; // Safari says the one where it no longer says the other
    if (event.key === "Enter" && event.target.closest?.("#prompt, #negative-prompt") && event.target.matches("textarea, input")) {
      event.stopImmediatePropagation();
      if (event.shiftKey) return;
      event.preventDefault();
      click("generate");
    } else if (event.key === "Escape" && !find("[aria-expanded=true][role=combobox], [role=dialog], dialog[open], #chips details[open]")) {
      if (isShown(find("#generate-tab"))) click("stop"); // in another tab Escape means something else
    }
  };

  window.latentLab = { // other scripts add to it
    find, button, escaped, lang, line, word, copy, click, copyLink, copySettings, count, download, fit, isShown,
    refitCanvas, root, setScaling, settings, shownSeed, stateOf, switchLanguage, switchTheme, wake,
  };
  window.addEventListener("click", onClick);
  document.addEventListener("load", (event) => { if (event.target.matches?.(".cell img")) fit(event.target); }, true);
  window.addEventListener("resize", fitAll);
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("keypress", (event) => { // Gradio's own meaning of Shift+Enter: submit
    if (event.key === "Enter" && event.target.closest?.("#prompt, #negative-prompt")) event.stopImmediatePropagation();
  }, true);
  const start = () => {
    new MutationObserver((changes, observer) => { // Gradio sets the system's theme once, when it mounts
      if (find("#prompt") && find("#stage") && find("#line") && find("#facts") && find("#history")) {
        applyTheme();
        translate();
        find("#facts").setAttribute("aria-live", "polite");
        const whenever = (parts, act) => { // Gradio writes new HTML into the elements that are there
          const watch = new MutationObserver(act), attributeFilter = ["src", "class", "data-file", "data-field", "data-favourite"];
          parts.forEach((part) => watch.observe(part, { childList: true, subtree: true, characterData: true, attributeFilter }));
        };
        whenever([find("#stage"), find("#history")], () => window.latentLab.onStage());
        whenever([find("#line")], () => window.latentLab.lineChanged());
        const shown = new ResizeObserver(fitAll);
        document.querySelectorAll("#stage, #live").forEach((el) => shown.observe(el));
        const mark = window.latentLab.markChips;
        if (find("#chips")) whenever([find("#chips")], mark);
        mark();
        observer.disconnect();
      }
    }).observe(document.body, { childList: true, subtree: true });
    applyTheme();
  };
  if (document.body) start(); else document.addEventListener("DOMContentLoaded", start);
})();
