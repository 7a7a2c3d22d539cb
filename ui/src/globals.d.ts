/** True in a `--mode fake` build only; a constant, so the other branch is dropped from the bundle. */
declare const __FAKE__: boolean;
