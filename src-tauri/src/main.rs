fn main() {
    vitrine_app::run();
}
