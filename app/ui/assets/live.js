// Live: a quick picture while one types or moves a slider. One at a time; the last good one stays until the next is there.
(() => {
  const lab = window.latentLab;
  const PAUSE = 300; // milliseconds without a key before a word counts as written
  const AGAIN = 20000; // when a busy server is asked again whether it offers Live
  const LOADING = 3000;
  const page = Math.random().toString(36).slice(2);
  const switched = () => document.getElementById("live-switch");
  const says = (key, seconds) => { // what has no number in it follows the language (`translate` in page.js)
    const el = document.querySelector("#live-says");
    if (!el) return;
    el.textContent = key ? lab.word(key).replace("{seconds}", seconds) : "";
    if (key && !seconds) el.dataset.word = key; else delete el.dataset.word;
  };
  const prompt = () => document.querySelector("#prompt textarea")?.value ?? "";
  // After a reload the field still has the seed that Live put there.
  let on = false, form = {}, held = Number(lab.keptTab("held")) || null, drawn = "", timer, asking;

  const settings = () => ({
    prompt: prompt(), negative_prompt: form.negative_prompt ?? "", guidance_scale: form.guidance_scale,
    seed: form.seed ? Number(form.seed) : held,
    ...(form.variation_strength && form.variation_seed
      ? { variation_strength: form.variation_strength, variation_seed: Number(form.variation_seed) } : {}),
  });
  const show = (blob) => {
    const img = document.querySelector("#live img"), before = img.src;
    img.onload = () => {
      if (before.startsWith("blob:")) URL.revokeObjectURL(before);
      if (on) document.body.classList.add("sketched"); // the frame of finished pictures gives way
      lab.fit(img);
    };
    img.alt = `${lab.word("live")}: ${prompt()}`;
    img.src = URL.createObjectURL(blob);
  };
  const draw = async () => {
    const wanted = settings(), text = JSON.stringify({ page, model: form.model ?? "", settings: wanted });
    if (!on || lab.busy() || !wanted.prompt.trim() || text === drawn) return;
    asking?.abort(); // the server ends it as well
    const mine = asking = new AbortController();
    drawn = text;
    try {
      const answer = await fetch(`${lab.root()}/live`, {
        method: "POST", headers: { "content-type": "application/json" }, body: text, signal: mine.signal,
      });
      if (answer.status === 503) turn(false, (await answer.json()).reason ?? "live_busy");
      else if (answer.status === 200) {
        const blob = await answer.blob();
        if (mine !== asking || !on || lab.busy()) return;
        show(blob);
        says("live_says", answer.headers.get("x-seconds"));
      }
    } catch { drawn = ""; } // a later one took its place, or the connection is lost, which is said elsewhere
  };
  const soon = (wait) => { clearTimeout(timer); timer = setTimeout(draw, wait); };
  const turn = (state, why) => {
    if (on !== state) {
      on = state;
      drawn = "";
      asking?.abort();
      document.body.classList.remove("sketched");
      lab.keepTab("live", on ? "on" : "");
      if (on) lab.keepTab("held", held ??= Math.floor(Math.random() * 2 ** 31));
      lab.click("live-seed"); // what is held stands in the field, and goes when Live does
    }
    switched()?.setAttribute("aria-checked", String(on));
    says(why ?? (on ? "live_info" : ""));
    if (on) soon(0);
  };
  const offer = async () => {
    try {
      const answer = await fetch(`${lab.root()}/live`, { cache: "no-store" });
      const offered = answer.ok && (await answer.json()).offered;
      document.body.classList.toggle("live-offered", Boolean(offered));
      if (offered && lab.keptTab("live") === "on") turn(true);
      if (!offered) setTimeout(offer, answer.ok ? AGAIN : LOADING);
    } catch { setTimeout(offer, AGAIN); }
  };
  Object.assign(lab, {
    liveForm: (values) => { form = values; if (on) soon(PAUSE); },
    liveSeed: (seed) => (on && !seed ? `${held}` : !on && seed === `${held}` ? "" : seed),
    hideSketch: () => { asking?.abort(); drawn = ""; document.body.classList.remove("sketched"); },
  });
  window.addEventListener("input", (event) => {
    if (on && event.target.closest?.("#prompt")) soon(!event.isComposing && /[\s,.;!?，。]$/.test(prompt()) ? 0 : PAUSE);
  });
  window.addEventListener("click", (event) => { if (event.target.closest?.("#live-switch")) turn(!on); });
  setTimeout(offer, 1500); // the page first
})();
