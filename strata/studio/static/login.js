// The page that asks for the password.
document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/login", { method: "POST", body: document.getElementById("password").value });
  if (answer.ok) location.href = "/";
  else document.getElementById("why").textContent = (await answer.json()).error.message;
});
