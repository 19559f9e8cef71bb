// Shows the value of a chart under the pointer and by the arrow keys. The points come with the chart; nothing is computed here.

const followed = new WeakSet();

function follow(chart) {
  followed.add(chart);
  const points = chart.dataset.points.split("|").map((point) => point.split(";"));
  const figure = chart.closest("figure");
  const value = figure.querySelector(".chart-value strong");
  const label = figure.querySelector(".chart-value span");
  const marks = chart.querySelectorAll(".cursor, .cursor-dot");
  const last = points.length - 1;
  let index = last;

  function show(next) {
    index = Math.max(0, Math.min(last, next));
    const [x, y, text, when] = points[index];
    const [line, dot] = marks;
    for (const end of ["x1", "x2"]) line.setAttribute(end, `${x}%`);
    dot.setAttribute("cx", `${x}%`);
    dot.setAttribute("cy", y);
    for (const mark of marks) mark.setAttribute("visibility", "visible");
    value.textContent = text;
    label.textContent = when;
  }

  function rest() {
    show(last);
    for (const mark of marks) mark.setAttribute("visibility", "hidden");
  }

  function nearest(event) {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 100;
    let best = 0;
    for (let i = 1; i <= last; i += 1) if (Math.abs(points[i][0] - x) < Math.abs(points[best][0] - x)) best = i;
    show(best);
  }

  const keys = { ArrowLeft: () => index - 1, ArrowRight: () => index + 1, Home: () => 0, End: () => last };
  chart.addEventListener("pointermove", nearest);
  chart.addEventListener("pointerdown", nearest);
  chart.addEventListener("pointerleave", rest);
  chart.addEventListener("focus", () => show(index));
  chart.addEventListener("blur", rest);
  chart.addEventListener("keydown", (event) => {
    if (event.key === "Escape") rest();
    else if (event.key in keys && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      show(keys[event.key]());
    }
  });
}

function followAll() {
  for (const chart of document.querySelectorAll("svg.chart")) if (!followed.has(chart)) follow(chart);
}

document.addEventListener("parts-renewed", followAll);
followAll();
