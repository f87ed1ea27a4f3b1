// The pictures of cameras: each is fetched by its time and drawn with the boxes, joints and names that belong to that time.
const FORGET_MS = 60_000;
const STALE_MS = 5_000;
const SURE_OF_JOINT = 0.3;
const LIMBS = [ // of COCO-17: head, arms, trunk, legs
  [0, 1], [0, 2], [1, 3], [2, 4], [5, 7], [7, 9], [6, 8], [8, 10], [5, 6], [5, 11], [6, 12], [11, 12], [11, 13], [13, 15], [12, 14], [14, 16],
];

const decisionOf = (person) => (["known", "unknown"].includes(person.decision) ? person.decision : "undecided");
const nameOf = (person) => (person.decision === "known" ? person.subject : person.decision === "unknown" ? "unknown" : "…");
const labelOf = (person) => (person.decision && person.confidence !== null ? `${nameOf(person)} ${Math.round(person.confidence * 100)} %` : nameOf(person));
const spokenOf = (person) => (nameOf(person) === "…" ? "somebody, not sure yet" : nameOf(person)) + (person.decision ? `, ${Math.round(person.confidence * 100)} % sure` : "");

class CameraFigure {
  constructor(id, api, enrol) {
    this.id = id; this.api = api; this.enrol = enrol;
    this.buttons = new Map(); // track -> button
    this.figure = document.createElement("figure");
    this.figure.className = "camera";
    this.figure.dataset.camera = id;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.addEventListener("click", (clicked) => this.clicked(clicked));
    this.canvas.addEventListener("mousemove", (moved) => { this.canvas.style.cursor = this.at(moved) ? "pointer" : "default"; });
    this.caption = document.createElement("figcaption");
    this.title = document.createElement("b");
    this.title.textContent = id;
    this.age = document.createElement("small");
    this.caption.append(this.title, this.age);
    this.people = document.createElement("ul");
    this.people.className = "people";
    this.people.setAttribute("aria-label", `People in view of ${id}`);
    this.figure.append(this.canvas, this.caption, this.people);
  }

  take(row) {
    this.row = row;
    this.seen = Date.now();
    this.pull();
  }

  // One request at a time: a slow line leaves pictures out instead of falling behind.
  async pull() {
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.row !== this.drawn) {
        const row = this.row;
        if (row.time_ns !== this.time) {
          const query = new URLSearchParams({ camera: this.id, time_ns: row.time_ns });
          const response = await this.api(`/api/cameras/picture?${query}`);
          if (response.ok) {
            const bitmap = await createImageBitmap(await response.blob(), { imageOrientation: "none" });
            this.bitmap?.close();
            this.bitmap = bitmap;
            this.time = row.time_ns;
          } else { // gone by now, or a claim check that leads nowhere: the next row tells of a newer one
            this.drawn = row;
            this.age.textContent = "the picture cannot be had";
            continue;
          }
        }
        this.drawn = row;
        this.draw();
      }
    } catch (error) {
      this.drawn = this.row;
      console.warn(error);
    } finally { this.busy = false; }
  }

  draw() {
    if (!this.bitmap || !this.drawn || this.drawn.time_ns !== this.time) return;
    const { width, height, people } = this.drawn;
    const shown = Math.max(this.canvas.clientWidth, 160) * (window.devicePixelRatio || 1);
    const scale = shown / width; // canvas pixels per camera pixel
    const unit = window.devicePixelRatio || 1; // canvas pixels per CSS pixel
    this.canvas.width = Math.round(shown);
    this.canvas.height = Math.round(height * scale);
    const pen = this.canvas.getContext("2d");
    pen.drawImage(this.bitmap, 0, 0, this.canvas.width, this.canvas.height);
    const colours = getComputedStyle(this.figure);
    for (const person of people) {
      const colour = colours.getPropertyValue(`--on-picture-${decisionOf(person)}`);
      limbs(pen, person.keypoints, scale, unit, colour);
      const [x0, y0, x1, y1] = person.box.map((v) => v * scale);
      pen.strokeStyle = colour;
      pen.lineWidth = 2 * unit;
      pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    const taken = []; // labels come last, above every box and beside one another
    for (const person of people) label(pen, person, scale, unit, colours.getPropertyValue(`--on-picture-${decisionOf(person)}`), taken);
    this.canvas.dataset.time = this.time;
    this.canvas.setAttribute("aria-label", `${this.id}: ${people.length ? people.map(spokenOf).join("; ") : "nobody in view"}`);
    this.list(people);
    this.tick();
  }

  // The same people as buttons, for keyboards, screen readers and thumbs; kept while they stay, so that focus is not lost.
  list(people) {
    const there = new Set(people.map((person) => person.track));
    for (const [track, button] of this.buttons) if (!there.has(track)) { button.parentNode.remove(); this.buttons.delete(track); }
    for (const person of people) {
      let button = this.buttons.get(person.track);
      if (!button) {
        button = document.createElement("button");
        button.dataset.track = person.track;
        button.addEventListener("click", () => this.enrol(person.track));
        this.buttons.set(person.track, button);
        const item = document.createElement("li");
        item.append(button);
        this.people.append(item);
      }
      button.className = `person ${decisionOf(person)}`;
      button.textContent = labelOf(person);
      button.setAttribute("aria-label", `Enrol ${spokenOf(person)}`);
      button.title = person.track;
    }
  }

  tick() {
    const silent = Date.now() - this.seen;
    this.figure.classList.toggle("stale", silent > STALE_MS);
    if (this.drawn?.time_ns === this.time) this.age.textContent = silent > STALE_MS ? `no new picture for ${Math.round(silent / 1000)} s` : new Date(Number(this.time) / 1e6).toLocaleTimeString();
  }

  // Whom a pointer is on: of boxes that overlap the smallest, with a finger's width around it.
  at(pointed) {
    if (!this.drawn || !this.bitmap) return undefined;
    const frame = this.canvas.getBoundingClientRect();
    const scale = frame.width / this.drawn.width;
    const [x, y] = [(pointed.clientX - frame.left) / scale, (pointed.clientY - frame.top) / scale];
    const area = ({ box: [x0, y0, x1, y1] }) => (x1 - x0) * (y1 - y0);
    const within = (margin) => ({ box: [x0, y0, x1, y1] }) => x > x0 - margin && x < x1 + margin && y > y0 - margin && y < y1 + margin;
    for (const margin of [0, 8 / scale]) {
      const hit = this.drawn.people.filter(within(margin)).sort((a, b) => area(a) - area(b))[0];
      if (hit) return hit;
    }
    return undefined;
  }

  clicked(pointed) {
    const hit = this.at(pointed);
    if (hit) this.enrol(hit.track);
  }
}

function limbs(pen, keypoints, scale, unit, colour) {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1.5 * unit;
  pen.beginPath();
  for (const [a, b] of LIMBS) {
    if (keypoints[a][2] < SURE_OF_JOINT || keypoints[b][2] < SURE_OF_JOINT) continue;
    pen.moveTo(keypoints[a][0] * scale, keypoints[a][1] * scale);
    pen.lineTo(keypoints[b][0] * scale, keypoints[b][1] * scale);
  }
  pen.stroke();
  for (const [x, y, sure] of keypoints) if (sure >= SURE_OF_JOINT) pen.fillRect(x * scale - unit, y * scale - unit, 2 * unit, 2 * unit);
}

function label(pen, person, scale, unit, colour, taken) {
  const height = 18 * unit;
  pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
  let text = labelOf(person);
  const most = pen.canvas.width * 0.6;
  while (text.length > 2 && pen.measureText(text).width > most) text = `${text.slice(0, -2)}…`;
  const width = pen.measureText(text).width + 8 * unit;
  const left = Math.min(Math.max(person.box[0] * scale - unit, 0), pen.canvas.width - width);
  let top = Math.max(person.box[1] * scale - height, 0);
  const covered = (o) => left < o.left + o.width && o.left < left + width && top < o.top + height && o.top < top + height;
  while (top >= height && taken.some(covered)) top -= height; // upwards first, off the people
  for (let tries = 0; tries < 20 && taken.some(covered); tries += 1) top += height;
  taken.push({ left, top, width });
  pen.fillStyle = colour;
  pen.fillRect(left, top, width, height);
  pen.fillStyle = "#000";
  pen.textBaseline = "middle";
  pen.fillText(text, left + 4 * unit, top + height / 2);
}

// All cameras of the page, side by side in the order of their names.
export class Cameras {
  constructor(section, api, enrol) {
    this.section = section; this.api = api; this.enrol = enrol;
    this.figures = new Map();
    this.grid = section.querySelector(".cameras");
    this.leftOut = section.querySelector(".left-out");
    new ResizeObserver(() => { for (const figure of this.figures.values()) figure.draw(); }).observe(this.grid);
  }

  take(row) {
    let figure = this.figures.get(row.stream);
    if (!figure) {
      figure = new CameraFigure(row.stream, this.api, this.enrol);
      this.figures.set(row.stream, figure);
      this.section.hidden = false;
      const after = [...this.figures.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).indexOf(row.stream);
      this.grid.insertBefore(figure.figure, this.grid.children[after] || null);
    }
    figure.take(row);
    this.leftOut.textContent = row.cameras_left_out ? `${row.cameras_left_out} more cameras are not shown.` : "";
  }

  tick() {
    for (const [id, figure] of this.figures) {
      figure.tick();
      if (Date.now() - figure.seen > FORGET_MS) { figure.figure.remove(); this.figures.delete(id); }
    }
    this.section.hidden = this.figures.size === 0;
  }
}
