#include "service.hpp"

int main(int count, char **arguments) {
    ActivityService(Options::parse(count, arguments)).run();
}
