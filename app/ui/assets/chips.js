// Style, colour and ground: menus of chips that write into the prompt, in English or Chinese as the prompt is.
(() => {
  const lab = window.latentLab;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const chips = (kind) => all(`#chips [data-${kind}]`);
  const COUNT = "(?:an?|the|one|two|three|four|\\d+)\\s+", ZH_COUNT = "[一两二三四五六七八九十\\d]+\\s*[个只条张朵颗棵辆件块把本头匹座片杯位]?";
  const isChinese = (text) => /[\u4e00-\u9fff]/.test(text);
  const zhColour = (name) => window.latentLabWords.zh[`colour_${name}`];
  const an = (words) => `${/^[aeiou]/i.test(words) ? "an" : "a"} ${words}`;

  // How a name is said, what finds it (what comes before the thing, and the name), and what is written.
  const ENGLISH = {
    style: { said: (name) => name, finds: (names) => `(,?\\s*)\\b(${names})(?!\\w)`, writes: (name) => `, ${name}` },
    ground: {
      said: (name) => name, finds: (names) => `(\\s*,?\\s*\\bon an? )(${names}) background\\b`,
      writes: (name) => ` on ${an(name)} background`,
    },
    colour: { said: (name) => name, finds: (names) => `^(\\s*(?:${COUNT})?)(${names})\\b(?!\\s+background)\\s*` },
  };
  const CHINESE = {
    style: {
      said: (name) => name.replace(/ style$/, ""), finds: (names) => `([，,]?\\s*)(${names})\\s*风格`,
      writes: (name) => `，${name.replace(/ style$/, "")}风格`,
    },
    ground: { said: zhColour, finds: (names) => `([，,]?\\s*)(${names})背景`, writes: (name) => `，${zhColour(name)}背景` },
    colour: { said: zhColour, finds: (names) => `^(\\s*(?:${ZH_COUNT})?)(${names})的` },
  };
  const formsOf = (text) => (isChinese(text) ? CHINESE : ENGLISH);
  const find = (text, kind) => { // {name, match} of the kind's name in a prompt, if there is one
    const { said, finds } = formsOf(text)[kind], names = chips(kind).map((chip) => chip.dataset[kind]).filter(Boolean);
    const match = names.length && text.match(new RegExp(finds(names.map(said).join("|")), "i"));
    return match ? { match, name: names.find((name) => said(name).toLowerCase() === match[2].toLowerCase()) } : {};
  };
  const without = (text, kind) => {
    const { match } = find(text, kind);
    if (!match) return text;
    const before = kind === "colour" ? match[1] : "", rest = text.slice(match.index + match[0].length);
    return text.slice(0, match.index) + before + rest;
  };
  const coloured = (text, name) => { // the first thing in this colour, "" for none
    const stem = without(text, "colour").trim();
    if (isChinese(text)) return name ? stem.replace(new RegExp(`^(${ZH_COUNT})?`), `$&${zhColour(name)}的`) : stem;
    const [, count = "", rest] = stem.match(new RegExp(`^(${COUNT})?(.*)$`, "is"));
    const words = [name, rest].filter(Boolean).join(" ");
    return /^an?\s/i.test(count) && words ? an(words) : count + words;
  };
  const dressed = (text, kind, name) => { // with this style or ground; a ground stands before the style
    const chosen = { style: find(text, "style").name, ground: find(text, "ground").name, [kind]: name };
    const stem = without(without(text, "style"), "ground").trim(), forms = formsOf(text);
    const written = ["ground", "style"].map((part) => (chosen[part] ? forms[part].writes(chosen[part]) : "")).join("");
    return (stem + written).replace(/^[\s,，]+/, "");
  };
  const mark = () => ["style", "colour", "ground"].forEach((kind) => {
    const name = find(lab.prompt()?.value ?? "", kind).name ?? "";
    chips(kind).forEach((chip) => chip.setAttribute("aria-pressed", chip.dataset[kind] === name));
    const shown = document.querySelector(`#chips [data-chosen=${kind}]`);
    const label = chips(kind).find((chip) => chip.dataset[kind] === name)?.innerHTML;
    if (shown && label && shown.innerHTML !== label) shown.innerHTML = label;
  });
  const choose = (chip) => { // what is chosen already is taken out again
    const [kind, name] = Object.entries(chip.dataset)[0], text = lab.prompt().value;
    const wanted = find(text, kind).name === name ? "" : name;
    lab.say(kind === "colour" ? coloured(text, wanted) : dressed(text, kind, wanted));
  };
  const fold = (except) => all("#chips details[open]").filter((menu) => menu !== except).map((menu) => { menu.open = false; return menu; });
  Object.assign(lab, { markChips: mark });
  window.addEventListener("click", (event) => {
    const chip = event.target.closest?.("#chips [data-style], #chips [data-colour], #chips [data-ground]");
    if (chip) choose(chip);
    fold(chip ? null : event.target.closest?.("#chips details"));
  });
  window.addEventListener("keydown", (event) => { // page.js, which comes first, stops no run while a menu is open
    if (event.key === "Escape") fold().forEach((menu) => menu.querySelector("summary").focus());
  }, true);
})();
