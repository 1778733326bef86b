// The switch between modes, where rules ask for one.

import { api } from "./api";
import { h } from "./dom";
import { attempt } from "./notices";

/** Shows the modes there are, if there is a choice. */
export async function showModes(): Promise<void> {
  const place = document.getElementById("mode");
  if (place === null) return;
  const configs = await api.configs().catch(() => null);
  const modes = configs?.["mode-list"] ?? [];
  if (configs === null || modes.length < 2) {
    place.replaceChildren();
    return;
  }
  const select = h("select", { id: "mode-select" });
  for (const mode of modes) {
    const isChosen = mode.toLowerCase() === configs.mode?.toLowerCase();
    select.append(h("option", { value: mode, selected: isChosen }, mode));
  }
  select.addEventListener("change", () => {
    const mode = select.value;
    void attempt(
      () => api.setMode(mode),
      () => `The mode is ${mode} now`,
    ).then(showModes);
  });
  const hadFocus = place.contains(document.activeElement);
  place.replaceChildren(h("label", { for: "mode-select" }, "Mode"), select);
  if (hadFocus) select.focus();
}
