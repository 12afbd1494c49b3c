const viewer = document.querySelector("dialog");
const tiles = [...document.querySelectorAll(".tiles button")];
const large = new Image();
let at = 0;
function look(number) {
  at = (number + tiles.length) % tiles.length;
  const image = tiles[at].firstElementChild;
  large.src = image.src;
  large.alt = image.alt;
  large.className = image.className;
  viewer.querySelector("p").textContent = image.alt;
  if (!large.parentElement) viewer.prepend(large);
  if (!viewer.open) viewer.showModal();
}
tiles.forEach((tile, number) => tile.addEventListener("click", () => look(number)));
viewer.addEventListener("click", () => viewer.close());
viewer.addEventListener("close", () => tiles[at].focus());
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") look(at + 1);
  if (event.key === "ArrowLeft") look(at - 1);
});
