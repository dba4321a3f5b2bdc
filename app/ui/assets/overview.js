// The overview's player: a generation that is already there, moment by moment.
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
})();
