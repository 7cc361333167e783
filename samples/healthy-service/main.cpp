#include "../activity-service-cxx/service.hpp"

/// The same service after the fix.
int main(int count, char **arguments) {
    auto options = Options::parse(count, arguments);
    options.leak = false;
    ActivityService(options).run();
}
