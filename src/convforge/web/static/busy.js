// Whether the page has work open: a view on its way, a question unanswered, a drag that has not come to rest.
// <main> says so to those who do not see it, and to tests, which then need not guess.

let open = 0;

/** The promise's value; the page is busy until it is there. */
export async function during(promise) {
  open += 1;
  document.querySelector("main").setAttribute("aria-busy", "true");
  try {
    return await promise;
  } finally {
    open -= 1;
    document.querySelector("main").setAttribute("aria-busy", String(open > 0));
  }
}
