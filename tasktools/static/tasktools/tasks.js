// Keeps the page "Tasks" up to date: it asks for the parts of the page every few seconds while somebody can see it, and replaces
// those that have changed. Without it the page works, with a link that refreshes it.
"use strict";

(() => {
  const page = document.querySelector(".tt-page");
  if (!page || !window.fetch) return;

  const EVERY = 3000, SOON = 500, LONGEST = 30000, LIMIT = 10000;
  const UNUSED = Number(page.dataset.unused) * 1000;  // nobody is there: the session may end
  const RELOADED = "tasktools-reloaded";
  const away = page.querySelector(".tt-away"), toggle = page.querySelector(".tt-toggle"), at = page.querySelector(".tt-at");
  let timer = 0, pause = EVERY, stopped = false, asking = false, used = Date.now();

  // Times such as "in 5 s" follow the clock of the server, as it was in the last answer.
  let ahead = 0;
  const setClock = (server) => { ahead = server - Date.now() || 0; };

  const SIZES = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  const duration = (seconds) => {
    const found = SIZES.find(([size]) => seconds >= size);
    if (!found) return `${seconds} s`;
    const [size, unit, small, less] = found, rest = Math.floor(seconds % size / small);
    return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${less}` : ""}`;
  };

  const clocked = (kind, seconds) => {
    if (kind === "until" && seconds > 0) return page.dataset.due;
    const text = duration(Math.floor(Math.abs(kind === "until" ? seconds : Math.max(0, seconds))));
    return kind === "for" ? text : page.dataset[kind].replace("%s", text);
  };

  const tick = () => {
    const now = Date.now() + ahead;
    for (const each of page.querySelectorAll("time[data-clock]")) {
      const at = Date.parse(each.dateTime);
      const text = Number.isNaN(at) ? each.textContent : clocked(each.dataset.clock, (now - at) / 1000);
      if (text !== each.textContent && !isBusy(each)) each.textContent = text;
    }
  };

  const later = (wait) => {
    clearTimeout(timer);
    if (UNUSED && Date.now() - used > UNUSED) stop(true);
    if (!stopped && !document.hidden) timer = setTimeout(ask, wait);
  };

  const isBusy = (part) => {
    const chosen = document.getSelection();
    return chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
  };

  // What has the keyboard's focus is found again by its data-key, and a table stays where it was scrolled to.
  const replace = (part, html) => {
    if (isBusy(part)) return false;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && focused.dataset.key;
    const region = focused && !key ? [...part.querySelectorAll(".tt-scroll")].indexOf(focused) : -1;
    const places = [...part.querySelectorAll(".tt-scroll")].map((each) => [each.scrollTop, each.scrollLeft]);
    part.innerHTML = html;
    const scrolls = [...part.querySelectorAll(".tt-scroll")];
    scrolls.forEach((each, place) => { [each.scrollTop, each.scrollLeft] = places[place] || [0, 0]; });
    const again = key ? [...part.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key) : scrolls[region];
    if (again) again.focus({ preventScroll: true });
    return true;
  };

  const show = (answer) => {
    at.textContent = answer.at;
    at.parentElement.hidden = !answer.at;
    setClock(answer.now * 1000);
    for (const [name, html] of Object.entries(answer.parts)) {
      const part = page.querySelector(`[data-part="${name}"]`);
      if (part && replace(part, html)) part.dataset.digest = answer.digests[name];
    }
    tick();
  };

  const remember = (value) => {
    try { if (value) sessionStorage.setItem(RELOADED, "1"); else sessionStorage.removeItem(RELOADED); } catch { return; }
  };

  // A page that is refused again after it was loaded again would be loaded for ever.
  const reloads = () => {
    try { if (sessionStorage.getItem(RELOADED)) return false; } catch { return false; }
    remember(true);
    location.reload();
    return true;
  };

  const ask = async () => {
    if (asking) return;
    asking = true;
    try {
      const have = [...page.querySelectorAll("[data-digest]")].map((each) => each.dataset.digest).join();
      const answer = await fetch(`${page.dataset.live}?have=${have}`, {
        headers: { Accept: "application/json" }, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout?.(LIMIT),
      });
      if ((answer.type === "opaqueredirect" || answer.status === 403) && reloads()) return;  // logged out
      if (!answer.ok) throw new Error(answer.status);
      const found = await answer.json();
      remember(false);
      show(found);
      away.hidden = true;
      pause = EVERY;
      later(found.is_fresh ? EVERY : SOON);
    } catch {
      away.textContent = page.dataset.away;
      away.hidden = false;
      pause = Math.min(pause * 2, LONGEST);
      later(pause);
    } finally {
      asking = false;
    }
  };

  const stop = (value) => {
    stopped = value;
    toggle.textContent = stopped ? page.dataset.resume : page.dataset.pause;
    if (stopped) clearTimeout(timer);
  };

  setClock(Date.parse(page.dataset.now));
  setInterval(() => { if (!document.hidden && !stopped && away.hidden) tick(); }, 1000);  // else what is shown is old
  tick();

  toggle.hidden = false;
  stop(false);
  toggle.addEventListener("click", () => { used = Date.now(); stop(!stopped); if (!stopped) ask(); });
  page.querySelector(".tt-refresh").addEventListener("click", (event) => { event.preventDefault(); ask(); });
  for (const kind of ["pointermove", "keydown", "wheel", "touchstart"]) {
    document.addEventListener(kind, () => { used = Date.now(); }, { passive: true });
  }
  document.addEventListener("visibilitychange", () => { used = Date.now(); if (document.hidden) clearTimeout(timer); else if (!stopped) ask(); });
  later(page.dataset.fresh === "1" ? EVERY : SOON);
})();
