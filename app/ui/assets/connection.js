// The connection to the server, and what the header and the banner say of it.
(() => {
  const lab = window.latentLab, { word, root, lang, escaped, find } = lab;
  // Looked after while the page is seen; when it comes back, so does the running job. A server that was gone so shortly,
  // or behind so hidden a page, that nothing here saw it has still said of the job that its next process goes on with it.
  let lost = false, late = 0;
  const timeout = () => AbortSignal.timeout?.(4000); // Safari before 16 waits for as long as it takes
  const healthy = async () => {
    try {
      const answer = await fetch(`${root()}/healthz`, { cache: "no-store", signal: timeout() });
      late = 0;
      return answer.ok;
    } catch (error) { // a server that is gone refuses at once; one answer may be late where many are asked for
      return error.name === "TimeoutError" && ++late < 2;
    }
  };
  const watchConnection = async () => {
    if (!document.hidden) {
      const cut = lost || Boolean(find("#line .again"));
      const now = !(await healthy()) || (cut && !(await whole()));
      if (cut && !now) document.getElementById("resume")?.click();
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
      const told = await (await fetch(`${root()}/state?lang=${lang()}`, { cache: "no-store", signal: timeout() })).json();
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
  Object.assign(lab, { banner });
  setTimeout(watchConnection, 3500);
})();
