//! Every message between the ends and to the screen, once
