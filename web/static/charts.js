// Tells the value of a chart under the pointer, and by the arrow keys. The points come with the chart; nothing is computed here.

for (const chart of document.querySelectorAll("svg.chart")) {
  const points = JSON.parse(chart.dataset.points);
  const told = chart.parentElement.querySelector(".chart-told");
  const resting = told.textContent;
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", "12");
  cursor.setAttribute("y2", "194");
  cursor.setAttribute("visibility", "hidden");
  chart.append(cursor);
  let index = points.length - 1;

  function tell(next) {
    index = Math.max(0, Math.min(points.length - 1, next));
    const [label, value, x] = points[index];
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", "visible");
    told.textContent = `${label}: ${value} ${chart.dataset.unit}`;
  }

  function rest() {
    cursor.setAttribute("visibility", "hidden");
    told.textContent = resting;
  }

  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 760;
    let best = 0;
    for (let i = 1; i < points.length; i += 1) if (Math.abs(points[i][2] - x) < Math.abs(points[best][2] - x)) best = i;
    tell(best);
  });
  chart.addEventListener("pointerleave", rest);
  chart.addEventListener("blur", rest);
  chart.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") tell(index - 1);
    else if (event.key === "ArrowRight") tell(index + 1);
    else return;
    event.preventDefault();
  });
}
