/* SPDX-License-Identifier: MIT */
/*
 * The live flame graph. P holds the data (data.c). Only what can be seen at the present zoom is in the document: boxes of
 * three pixels and more as elements of their own, thinner ones, down to a third of a pixel, as one path for each colour
 * ("dust"); the pointer finds those by their place. All text enters through textContent.
 */
"use strict";
var SVG = "http://www.w3.org/2000/svg", HTML = "http://www.w3.org/1999/xhtml";
var root = document.documentElement;
var count = P.boxes.length / P.step;
var depth = new Uint16Array(count), look = new Uint32Array(count), parent = new Int32Array(count);
var weight = new Float64Array(count), start = new Float64Array(count), end = new Uint32Array(count);
var zoomed = 0, current = 0, matcher = null, matches = null, shown = [], rows = [], groups = new Map();
var LEAST = 0.35, DUST = 3;
var KINDS = ["app", "library", "kernel", "unknown", "thread"];

/* Parents, places and ends of subtrees follow from the order. */
function unpack() {
	var path = [], cursor = [], i, d, p = P.boxes;
	for (i = 0; i < count; i++) {
		d = depth[i] = p[i * P.step];
		look[i] = p[i * P.step + 1];
		weight[i] = p[i * P.step + 2];
		while (path.length > d) {
			end[path.pop()] = i;
		}
		parent[i] = d ? path[d - 1] : -1;
		start[i] = d ? cursor[d - 1] : 0;
		if (d) {
			cursor[d - 1] += weight[i];
		}
		cursor[d] = start[i];
		path.push(i);
	}
	while (path.length) {
		end[path.pop()] = count;
	}
}

function make(space, tag, attributes, text) {
	var node = document.createElementNS(space, tag), key;
	for (key in attributes) {
		node.setAttribute(key, attributes[key]);
	}
	if (text !== undefined) {
		node.textContent = text;
	}
	return node;
}

function html(tag, attributes, text) {
	return make(HTML, tag, attributes, text);
}

function name(i) {
	return P.looks[look[i]][0];
}

function module(i) {
	return P.modules[P.looks[look[i]][1]];
}

function samples(i) {
	return P.step === 4 ? P.boxes[i * 4 + 3] : Math.round(weight[i] * P.scale / (P.each || 1));
}

function grouped(value) {
	return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

function scaled(value, step, names) {
	var i = 0;
	while (i < names.length - 1 && value >= step * 0.9995) {
		value /= step;
		i++;
	}
	return value.toFixed(i === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2) + " " + names[i];
}

function amount(value) {
	if (P.unit === "ns") {
		return scaled(value, 1000, ["ns", "\u00b5s", "ms", "s"]);
	}
	if (P.unit === "bytes") {
		return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
	}
	return P.unit === "count" ? "" : grouped(value) + " " + P.unit;
}

function percent(part, whole) {
	var value = whole ? 100 * part / whole : 0;
	return value.toFixed(value >= 99.995 || value === 0 ? 0 : value >= 9.995 ? 1 : value >= 0.0995 ? 2 : 3) + " %";
}

/* What a box is: "libc.so.6, library". */
function place(i) {
	var it = P.looks[look[i]];
	if (depth[i] === 0 || it[2][0] === "o") {
		return "";
	}
	return (it[4] ? "inlined, " : "") + KINDS[it[3]] + (module(i) && it[3] !== 4 ? " \u00b7 " + module(i) : "");
}

function figures(i) {
	var n = samples(i), text = percent(weight[i], weight[0]) + " of all";
	if (zoomed) {
		text += ", " + percent(Math.min(weight[i], weight[zoomed]), weight[zoomed]) + " of zoom";
	}
	text += " \u00b7 " + grouped(n) + (n === 1 ? " sample" : " samples");
	return amount(1) === "" ? text : text + " \u00b7 " + amount(weight[i] * P.scale);
}

/* The frame of the page. */
var app = html("div", { "class": "app" });
var head = html("div", { "class": "head", role: "banner" });
var search = html("input", { type: "search", placeholder: "Search functions  ( / )", "aria-label": "Search functions and modules", spellcheck: "false", autocomplete: "off", autocapitalize: "none" });
var regex = html("input", { type: "checkbox" });
var reset = html("button", { type: "button", title: "Escape" }, "Reset zoom");
var matched = html("span", { "class": "matched", role: "status", "aria-live": "polite" });
var graph = html("div", { "class": "graph" });
var picture = make(SVG, "svg", { role: "tree", "aria-label": P.title, tabindex: "-1" });
var detail = html("div", { "class": "detail", role: "region", "aria-label": "Details", "aria-live": "polite" });
var tip = html("div", { "class": "tip", hidden: "", "aria-hidden": "true" });
var foreign = make(SVG, "foreignObject", { x: 0, y: 0, width: "100%", height: "100%" });

function buildHead() {
	var tools = html("div", { "class": "tools", role: "search" }), label = html("label", {});
	var legend = html("ul", { "class": "legend", "aria-label": "Colours" });
	head.appendChild(html("h1", {}, P.title));
	head.appendChild(html("p", { "class": "about" }, P.about));
	head.appendChild(html("p", { "class": "health" }, P.health));
	if (P.warnings) {
		head.appendChild(html("p", { "class": "alarm", role: "note" }, P.warnings.trim()));
	}
	if (P.note) {
		head.appendChild(html("p", { "class": "about" }, P.note.trim()));
	}
	label.appendChild(regex);
	label.appendChild(document.createTextNode("regex"));
	[search, label, reset, matched].forEach(function (part) {
		tools.appendChild(part);
	});
	head.appendChild(tools);
	P.legend.forEach(function (entry) {
		var item = html("li", {});
		item.appendChild(html("i", { "class": entry[0] }));
		item.appendChild(document.createTextNode(entry[1]));
		legend.appendChild(item);
	});
	head.appendChild(legend);
}

function build() {
	buildHead();
	graph.appendChild(picture);
	[head, graph, detail, tip].forEach(function (part) {
		app.appendChild(part);
	});
	foreign.appendChild(app);
	document.getElementById("still").remove();
	["viewBox", "preserveAspectRatio", "role", "aria-labelledby"].forEach(function (attribute) {
		root.removeAttribute(attribute);
	});
	root.setAttribute("height", "100%");
	root.appendChild(foreign);
}

/* Sizes: taller rows where a finger points. */
var coarse = matchMedia("(pointer: coarse)").matches;
var ROW = coarse ? 26 : 19, FONT = coarse ? 13 : 12, letter = FONT * 0.61;

function measure() {
	var probe = make(SVG, "text", { "font-size": FONT }, "MMMMMMMMMMMMMMMMMMMM");
	picture.appendChild(probe);
	letter = probe.getComputedTextLength() / 20 || letter;
	probe.remove();
}

/* Boxes to show at this zoom: the way to the zoomed one at full width, then its subtree. */
function visible(width) {
	var list = [], i, px, scale = width / weight[zoomed];
	for (i = parent[zoomed]; i >= 0; i = parent[i]) {
		list.unshift({ i: i, x: 0, w: width, above: true });
	}
	for (i = zoomed; i < end[zoomed];) {
		px = weight[i] * scale;
		if (px < LEAST) {
			i = end[i];
			continue;
		}
		list.push({ i: i, x: (start[i] - start[zoomed]) * scale, w: px, above: false });
		i++;
	}
	return list;
}

/* What fits: the whole name, else its last part without template arguments, else a cut. */
function fitting(label, room) {
	var bare = label, shorter = label.replace(/<[^<>]*>/g, "");
	if (label.length <= room) {
		return label;
	}
	while (shorter !== bare) {
		bare = shorter;
		shorter = bare.replace(/<[^<>]*>/g, "");
	}
	if (bare.indexOf("::") > 0 && bare.indexOf(" as ") < 0) {
		bare = bare.slice(bare.lastIndexOf("::", bare.length - 3) + 2) || label;
	}
	return bare.length <= room ? bare : bare.slice(0, room - 1) + "\u2026";
}

function drawBox(box, y) {
	var i = box.i, it = P.looks[look[i]], room = Math.floor((box.w - 7) / letter), label = it[0];
	var group = make(SVG, "g", { "class": "f" + (it[4] ? " i" : "") + (box.above ? " above" : "") + (matches && matches[i] ? " match" : ""), role: "treeitem", "aria-level": depth[i] + 1, "aria-label": label + ", " + percent(weight[i], weight[0]), tabindex: i === current ? "0" : "-1", "data-i": i });
	group.appendChild(make(SVG, "rect", { x: box.x.toFixed(2), y: y, width: Math.max(box.w - (box.w > 3 ? 1 : 0), 0.35).toFixed(2), height: ROW - 1, rx: box.w > 8 ? 2 : 0, "class": it[2] }));
	if (room >= 3) {
		group.appendChild(make(SVG, "text", { x: (box.x + 4).toFixed(2), y: y + ROW / 2 + FONT * 0.34, "font-size": FONT }, fitting(label, room)));
	}
	return group;
}

/* A rectangle as a piece of the path of its colour. */
function addDust(dust, box, y) {
	var key = matches && matches[box.i] ? "match" : P.looks[look[box.i]][2];
	dust[key] = (dust[key] || "") + "M" + box.x.toFixed(2) + " " + y + "h" + box.w.toFixed(2) + "v" + (ROW - 1) + "h-" + box.w.toFixed(2) + "z";
}

function render(keepScroll) {
	var width = Math.max(graph.clientWidth - (coarse ? 8 : 16), 50), deepest = 0, fragment = document.createDocumentFragment();
	var margin = coarse ? 4 : 8, held = picture.contains(document.activeElement), height, dust = {}, all;
	all = visible(width);
	all.forEach(function (box) {
		deepest = Math.max(deepest, depth[box.i]);
	});
	shown = all.filter(function (box) {
		return box.w >= DUST;
	});
	if (!shown.some(function (box) { return box.i === current; })) {
		current = zoomed;
	}
	groups = new Map();
	rows = [];
	all.forEach(function (box) {
		var row = P.icicle ? depth[box.i] : deepest - depth[box.i], group;
		box.x += margin;
		(rows[row] = rows[row] || []).push(box);
		if (box.w < DUST) {
			addDust(dust, box, row * ROW);
			return;
		}
		group = drawBox(box, row * ROW);
		groups.set(box.i, group);
		fragment.appendChild(group);
	});
	Object.keys(dust).forEach(function (key) {
		fragment.appendChild(make(SVG, "path", { "class": "dust " + key, d: dust[key], "aria-hidden": "true" }));
	});
	height = (deepest + 1) * ROW + 2;
	picture.replaceChildren(fragment);
	picture.setAttribute("width", graph.clientWidth);
	picture.setAttribute("height", height);
	graph.classList.toggle("searched", matches !== null);
	reset.disabled = zoomed === 0;
	if (!keepScroll) {
		graph.scrollTop = P.icicle ? 0 : graph.scrollHeight;
	}
	if (held) {
		focus(current);
	}
}

function describe(to, i) {
	var where = place(i);
	to.replaceChildren(html("b", {}, name(i)), html("span", {}, figures(i)));
	if (where) {
		to.appendChild(html("span", {}, where));
	}
}

function focus(i) {
	var group = groups.get(i), old = groups.get(current);
	if (!group) {
		return;
	}
	if (old) {
		old.setAttribute("tabindex", "-1");
	}
	current = i;
	group.setAttribute("tabindex", "0");
	group.focus({ preventScroll: true });
	group.scrollIntoView({ block: "nearest" });
	describe(detail, i);
}

function zoom(i) {
	if (P.looks[look[i]][2][0] === "o") {
		describe(detail, i);
		return;
	}
	zoomed = current = i;
	tip.hidden = true;
	render();
	describe(detail, i);
	showMatched();
}

/* Search. Boxes below a matching one count once. */
function findMatches() {
	var good, hits, i;
	matches = null;
	if (!matcher) {
		return;
	}
	hits = P.looks.map(function (it) {
		return it[2][0] !== "o" && it[2][0] !== "r" && (matcher(it[0]) || matcher(P.modules[it[1]]));
	});
	good = new Uint8Array(count);
	for (i = 0; i < count; i++) {
		good[i] = hits[look[i]] ? 1 : 0;
	}
	matches = good;
}

function matchedWeight(from) {
	var sum = 0, i;
	for (i = from; i < end[from];) {
		if (matches[i]) {
			sum += weight[i];
			i = end[i];
		} else {
			i++;
		}
	}
	return sum;
}

function showMatched() {
	var text = "";
	if (matches) {
		text = "matched " + percent(matchedWeight(0), weight[0]);
		if (zoomed) {
			text += ", " + percent(matchedWeight(zoomed), weight[zoomed]) + " of zoom";
		}
	}
	matched.textContent = text;
}

function searchNow() {
	var text = search.value, lower = text.toLowerCase(), expression;
	matcher = null;
	search.removeAttribute("aria-invalid");
	if (text && regex.checked) {
		try {
			expression = new RegExp(text, "i");
			matcher = function (value) { return expression.test(value); };
		} catch (error) {
			search.setAttribute("aria-invalid", "true");
			matches = null;
			render(true);
			matched.textContent = "not a regular expression";
			return;
		}
	} else if (text) {
		matcher = function (value) { return value.toLowerCase().includes(lower); };
	}
	findMatches();
	render(true);
	showMatched();
}

/* The box nearest to a place in a row; for moving sideways and up. */
function beside(i, step) {
	var row = shown.filter(function (box) { return depth[box.i] === depth[i]; });
	var at = row.findIndex(function (box) { return box.i === i; });
	return row[at + step] ? row[at + step].i : i;
}

function heaviestChild(i) {
	var best = -1;
	shown.forEach(function (box) {
		if (parent[box.i] === i && (best < 0 || weight[box.i] > weight[best])) {
			best = box.i;
		}
	});
	return best < 0 ? i : best;
}

function move(key) {
	var inwards = P.icicle ? "ArrowDown" : "ArrowUp", outwards = P.icicle ? "ArrowUp" : "ArrowDown";
	if (key === inwards) {
		focus(heaviestChild(current));
	} else if (key === outwards) {
		focus(Math.max(parent[current], 0));
	} else if (key === "ArrowLeft") {
		focus(beside(current, -1));
	} else if (key === "ArrowRight") {
		focus(beside(current, 1));
	} else if (key === "Home") {
		focus(0);
	} else if (key === "Enter" || key === " ") {
		zoom(current);
	} else {
		return false;
	}
	return true;
}

function onKey(event) {
	var typing = event.target === search;
	if (event.ctrlKey || event.metaKey || event.altKey) {
		return;
	}
	if (event.key === "Escape") {
		if (typing && search.value) {
			search.value = "";
			searchNow();
		} else {
			zoom(0);
			groups.get(0).focus({ preventScroll: true });
		}
		event.preventDefault();
	} else if (event.key === "/" && !typing) {
		search.focus();
		search.select();
		event.preventDefault();
	} else if (picture.contains(event.target) && move(event.key)) {
		event.preventDefault();
	}
}

/* The box under the pointer, or -1. Rows are sorted by place. */
function boxOf(event) {
	var frame = picture.getBoundingClientRect(), x = event.clientX - frame.left, low = 0, high, middle;
	var row = rows[Math.floor((event.clientY - frame.top) / ROW)];
	if (!row) {
		return -1;
	}
	for (high = row.length; low < high;) {
		middle = low + high >> 1;
		if (row[middle].x <= x) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low && x < row[low - 1].x + Math.max(row[low - 1].w, 1) ? row[low - 1].i : -1;
}

function onPointer(event) {
	var i = boxOf(event), x, y;
	if (i < 0 || event.pointerType !== "mouse") {
		tip.hidden = true;
		return;
	}
	describe(tip, i);
	describe(detail, i);
	tip.hidden = false;
	x = Math.min(event.clientX + 14, app.clientWidth - tip.offsetWidth - 6);
	y = event.clientY + 18;
	if (y + tip.offsetHeight > app.clientHeight - 4) {
		y = event.clientY - tip.offsetHeight - 10;
	}
	tip.style.left = Math.max(x, 4) + "px";
	tip.style.top = Math.max(y, 4) + "px";
}

function listen() {
	var pending = 0;
	picture.addEventListener("click", function (event) {
		var i = boxOf(event);
		if (i >= 0) {
			zoom(i);
		}
	});
	picture.addEventListener("focusin", function (event) {
		if (event.target.dataset.i) {
			describe(detail, Number(event.target.dataset.i));
		}
	});
	picture.addEventListener("pointermove", onPointer);
	picture.addEventListener("pointerleave", function () {
		tip.hidden = true;
	});
	search.addEventListener("input", function () {
		clearTimeout(pending);
		pending = setTimeout(searchNow, 80);
	});
	regex.addEventListener("change", searchNow);
	reset.addEventListener("click", function () {
		zoom(0);
	});
	document.addEventListener("keydown", onKey);
	window.addEventListener("resize", function () {
		render(true);
	});
}

unpack();
build();
measure();
render();
describe(detail, 0);
listen();
