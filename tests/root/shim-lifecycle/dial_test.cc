// Connections into a Pod, as port-forward makes them.
#include "tests/root/shim-lifecycle/stream_fixture.h"

namespace podshim::lifecycle::test {
namespace {

class DialPod : public LifecycleTest {};

TEST_F(DialPod, AServerInThePodAnswers) {
  auto sandbox = run(pod());
  launch(sandbox, script("server", "while true; do nc -l -p 8080 -e cat; done"));
  Result<Fd> connection = Fd();
  ASSERT_TRUE(eventually([&] {
    connection = runtime->dial(sandbox.str(), 8080);
    return connection.has_value();
  })) << connection.error().text();
  write_to(*connection, "echo this");
  EXPECT_EQ(read_until(*connection, has("this")), "echo this");
  auto other = runtime->dial(run(pod("other")).str(), 8080);
  ASSERT_FALSE(other) << "another Pod's";
  EXPECT_TRUE(other.error().is(ECONNREFUSED)) << other.error().text();
}

}  // namespace
}  // namespace podshim::lifecycle::test
