// Goes on at a name that only this browser knows. Browsers send cookies to every port of a host, so
// at 127.0.0.1 any other program of this machine could read them; what is stored here it cannot.
const KEY = "synthstudio-name";
let name = localStorage.getItem(KEY);
if (!/^[a-z0-9]{20,60}$/.test(name ?? "")) {
  name = Array.from(crypto.getRandomValues(new Uint8Array(24)), (byte) => (byte % 32).toString(32)).join("");
  localStorage.setItem(KEY, name);
}
const host = `${name}.localhost${location.port ? `:${location.port}` : ""}`;
location.replace(`http://${host}${location.pathname}${location.search}${location.hash}`);
