// Takes the code out of the address, so that neither the history nor anybody who looks on keeps it.
const field = document.querySelector("input[name=code]");
const code = decodeURIComponent(location.hash.slice(1));
if (field && code) {
  history.replaceState(null, "", location.pathname);
  field.value = code;
  field.form.submit();
}
