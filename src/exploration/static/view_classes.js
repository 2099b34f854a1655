// All classes in a table that can be searched and sorted.
"use strict";

(function () {
  const {element, breakable, nameOf} = explorer;
  let kept = null;  // the view with its search and order, while another is shown

  function cellOfAp(ap) {
    return ap === null ? element("td", {class: "number"}, "\u2013")
      : element("td", {class: "number ap", style: "--ap:" + ap}, ap.toFixed(4));
  }

  function cellOfGain(gain) {
    if (gain === null) return element("td", {class: "number"}, "\u2013");
    const sign = gain > 0 ? "\u25b2 +" : gain < 0 ? "\u25bc \u2212" : "";
    return element("td", {class: "number " + (gain > 0 ? "up" : gain < 0 ? "down" : "")},
                   sign + Math.abs(gain).toFixed(4));
  }

  // The columns: a heading, its hint, whether it holds numbers, and the value of a class's row.
  function columnsOf(index) {
    const others = index.files.map((_, file) => file).filter(file => file !== index.blend);
    const columns = [
      {heading: "name", value: row => nameOf(row[0]).toLowerCase()},
      {heading: "positives", hint: "positive ratings", number: true, value: row => row[3]}];
    index.files.forEach(function (name, file) {
      columns.push({heading: name, hint: "AP of " + name, number: true, value: row => row[4 + file], cell: cellOfAp});
    });
    if (index.blend !== null) {
      columns.push({
        heading: "gain of " + index.files[index.blend], number: true, cell: cellOfGain,
        hint: "AP of " + index.files[index.blend] + " less the best AP of the others",
        value: row => row[3] ? row[4 + index.blend] - Math.max(...others.map(file => row[4 + file])) : null});
    }
    return [...columns, {heading: "ratings", number: true, value: row => row[2]},
            {heading: "class", number: true, value: row => row[0]}];
  }

  function make() {
    const index = explorer.index, columns = columnsOf(index);
    const rows = index.classes.map(function (row) {
      const cells = columns.slice(1).map(function (column) {
        const value = column.value(row);
        return column.cell ? column.cell(value) : element("td", {class: "number"}, String(value));
      });
      const link = element("a", {href: "#class/" + row[0]}, nameOf(row[0]));
      return {label: row[0], values: columns.map(column => column.value(row)), positive: row[3] > 0,
              text: (nameOf(row[0]) + " " + row[0]).toLowerCase(),
              element: element("tr", {}, element("th", {scope: "row"}, link), ...cells)};
    });
    const body = element("tbody"), count = element("span", {role: "status", class: "faint"});
    const search = element("input", {type: "search", id: "search", autocomplete: "off"});
    const positive = element("input", {type: "checkbox", id: "positive"});
    positive.checked = rows.some(row => row.positive);
    const headings = columns.map(column => element(
      "th", {scope: "col", class: column.number ? "number" : null},
      element("button", {type: "button", title: column.hint || null}, breakable(column.heading))));

    function sort(column, descending) {
      headings.forEach((heading, other) => heading.setAttribute(
        "aria-sort", other !== column ? "none" : descending ? "descending" : "ascending"));
      rows.sort(function (one, other) {
        const first = one.values[column], second = other.values[column];
        if (first === second) return one.label - other.label;
        if (first === null || second === null) return first === null ? 1 : -1;  // unknown values come last
        return (first < second ? -1 : 1) * (descending ? -1 : 1);
      });
      body.replaceChildren(...rows.map(row => row.element));
    }

    function filter() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.element.hidden = !(words.every(word => row.text.includes(word)) && (row.positive || !positive.checked));
        shown += row.element.hidden ? 0 : 1;
      }
      count.textContent = shown + " of " + rows.length + " classes";
    }

    headings.forEach((heading, column) => heading.firstChild.addEventListener("click", function () {
      const before = heading.getAttribute("aria-sort");
      sort(column, before === "none" ? Boolean(columns[column].number) : before === "ascending");
    }));
    search.addEventListener("input", filter);
    positive.addEventListener("change", filter);
    sort(1, true);
    filter();
    return [
      element("h2", {}, "Classes"),
      element("div", {class: "tools"},
              element("label", {for: "search"}, "Name or number "), search,
              element("label", {}, positive, "only with a positive rating"), count),
      element("div", {class: "wide", tabindex: "0", role: "region", "aria-label": "Table of classes"},
              element("table", {id: "class-table"}, element("thead", {}, element("tr", {}, ...headings)), body))];
  }

  explorer.views.classes = function () {
    kept = kept || {elements: make(), title: "Classes", scroll: 0};
    return kept;
  };
  window.addEventListener("click", function () {
    if (kept && kept.elements[0].isConnected) kept.scroll = window.scrollY;
  }, true);
})();
