// SPDX-License-Identifier: ISC
// The page works without this. With it the overview stays fresh by itself, and one box
// ticks all.
(function () {
	"use strict";

	function refresh(live, spoken) {
		if (document.hidden || live.contains(document.activeElement))
			return; // nobody looks, or somebody is about to press something
		fetch(live.dataset.from, {credentials: "same-origin", cache: "no-store"})
			.then(function (r) {
				if (!r.ok)
					throw new Error(String(r.status));
				return r.text();
			})
			.then(function (text) {
				if (live.contains(document.activeElement))
					return;
				// from our own server, where every word from outside is escaped
				live.innerHTML = text;
				live.classList.remove("stale");
				speak(live, spoken);
			})
			.catch(function () {
				live.classList.add("stale");
			});
	}

	// A screen reader hears of the headline only when it has changed.
	function speak(live, spoken) {
		var line = live.querySelector("[data-headline]");
		var text = line ? line.textContent : "";
		if (spoken.dataset.last !== undefined && spoken.dataset.last !== text)
			spoken.textContent = text;
		spoken.dataset.last = text;
	}

	function tickAll(box) {
		var form = box.closest("form");
		var each = form.querySelectorAll("input[type=checkbox][name=id]");
		box.addEventListener("change", function () {
			each.forEach(function (b) { b.checked = box.checked; });
		});
	}

	var live = document.getElementById("live");
	if (live) {
		var spoken = document.getElementById("spoken");
		speak(live, spoken);
		setInterval(refresh, 5000, live, spoken);
	}
	document.querySelectorAll("input[data-all]").forEach(tickAll);
})();
