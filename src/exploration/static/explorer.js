// Loads data and shows the view that the address names: #classes, #class/387, #video/abcd/35/387.
"use strict";

const explorer = (function () {
  const views = {}, loaded = {}, receivers = {};
  let index = null, rowOf = null, numberOf = null;

  // Makes an element with attributes. Children are elements or text; HTML in text is shown as text.
  function element(name, attributes, ...children) {
    const svg = ["svg", "rect", "line", "polyline", "text"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value !== null) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  // Text that may break after each _ and /.
  function breakable(text) {
    const made = element("span");
    for (const part of text.match(/[^_/]*[_/]?/g)) made.append(part, element("wbr"));
    return made;
  }

  // A promise of the value that the script data/KEY.js hands over.
  function load(key) {
    if (!(key in loaded)) {
      loaded[key] = new Promise(function (resolve, reject) {
        receivers[key] = resolve;
        const script = element("script", {src: "data/" + key.replace("/", "_") + ".js"});
        script.onerror = function () {
          delete loaded[key];
          reject(new Error(script.getAttribute("src") + " is missing: write the pages again."));
        };
        document.head.append(script);
      });
    }
    return loaded[key];
  }

  function nameOf(label) {
    return rowOf.has(label) && rowOf.get(label)[1] || "class " + label;
  }

  function time(seconds) {
    return Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
  }

  // The address of a video, of one of its segments, and of the class whose page linked to it.
  function videoAddress(video, start, label) {
    return "#" + ["video", video, start, label].filter(part => part !== undefined).map(encodeURIComponent).join("/");
  }

  // A link to a segment such as abcd:35, or its text where the video has no page.
  function segmentLink(segment, label) {
    const colon = segment.lastIndexOf(":"), video = segment.slice(0, colon), start = Number(segment.slice(colon + 1));
    const text = video + " " + time(start);
    return numberOf.has(video) ? element("a", {href: videoAddress(video, start, label)}, text) : element("span", {}, text);
  }

  function marked(kind) {
    const [sign, text] = {found: ["\u25cf", "found"], absent: ["\u2715", "not found"], unrated: ["", "not rated"]}[kind];
    return element("span", {class: "mark " + kind}, (sign + " " + text).trim());
  }

  function show(address) {
    let parts;
    try {
      parts = address.slice(1).split("/").map(decodeURIComponent);
    } catch (error) {
      parts = [];
    }
    const view = views[parts[0]] ? parts[0] : "classes";
    return Promise.resolve().then(() => views[view](...parts.slice(1))).then(function (shown) {
      if (address !== location.hash) return;  // the address has changed in the meantime
      const main = document.getElementById("view");
      main.replaceChildren(...shown.elements);
      document.title = shown.title;
      window.scrollTo(0, shown.scroll || 0);
    }).catch(complain);
  }

  function complain(error) {
    document.getElementById("view").replaceChildren(element("p", {class: "warning", role: "alert"}, error.message));
  }

  function start() {
    load("index").then(function (value) {
      index = value;
      rowOf = new Map(index.classes.map(row => [row[0], row]));
      numberOf = new Map(index.videos.split(" ").map((video, number) => [video, number]));
      document.getElementById("find-video").addEventListener("submit", function (event) {
        event.preventDefault();
        location.hash = videoAddress(document.getElementById("video-id").value.trim());
      });
      window.addEventListener("hashchange", function () {
        show(location.hash).then(() => document.getElementById("view").focus({preventScroll: true}));
      });
      return show(location.hash);
    }).then(() => document.body.setAttribute("data-shown-after", Math.round(performance.now())), complain);
  }

  window.addEventListener("DOMContentLoaded", start);
  return {
    views, element, breakable, load, nameOf, time, segmentLink, marked,
    receive: (key, value) => receivers[key](value),
    get index() { return index; },
    rowOf: label => rowOf.get(label),
    numberOf: video => numberOf.get(video),
  };
})();
