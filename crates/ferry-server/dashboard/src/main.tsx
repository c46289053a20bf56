// The dashboard begins here.

import { render } from "preact";
import { Root } from "./app/app";
import { startRouting } from "./app/route";
import { start } from "./app/session";
import { startClock } from "./app/store";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/pages.css";

startRouting();
startClock();
render(<Root />, document.getElementById("app") as HTMLElement);
void start();
