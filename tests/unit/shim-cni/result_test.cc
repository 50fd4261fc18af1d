#include "shim/cni_client/result.h"

#include <gtest/gtest.h>

namespace podshim::cni {
namespace {

std::vector<std::string> texts(const std::vector<IpAddress>& ips) {
  std::vector<std::string> out;
  for (const auto& ip : ips) out.push_back(ip.str());
  return out;
}

TEST(Answer, ReadsDualStackOfEveryVersion) {
  for (const char* version : {"0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    std::string text = R"({"cniVersion":")" + std::string(version) + R"(",
      "interfaces":[{"name":"br0","mac":"aa"},{"name":"veth1"},{"name":"eth0","sandbox":"/run/netns/x"}],
      "ips":[{"version":"4","address":"10.42.0.5/16","gateway":"10.42.0.1","interface":2},
             {"address":"fd00::5/64","interface":2},{"address":"192.0.2.1/24","interface":0}],
      "routes":[{"dst":"0.0.0.0/0","gw":"10.42.0.1"},{"dst":"::/0"}],"dns":{"nameservers":["10.43.0.10"]}})";
    auto answer = decode_answer(json::parse(text).value());
    ASSERT_TRUE(answer) << version << answer.error().text();
    EXPECT_EQ(texts(answer->addresses("eth0")), (std::vector<std::string>{"10.42.0.5", "fd00::5"})) << version;
    EXPECT_EQ(answer->interfaces.size(), 3U);
    EXPECT_EQ(answer->routes.size(), 2U);
    EXPECT_EQ(answer->dns_servers, std::vector<std::string>{"10.43.0.10"});
  }
}

TEST(Answer, WithoutInterfacesEveryAddressCounts) {
  auto answer = decode_answer(json::parse(R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]})").value());
  ASSERT_TRUE(answer);
  EXPECT_EQ(texts(answer->addresses("eth0")), std::vector<std::string>{"10.0.0.2"});
}

TEST(Answer, WrongOnesNameTheField) {
  struct Case {
    const char* text;
    const char* want;
  } cases[] = {
      {R"([])", "object"},
      {R"({})", "cniVersion"},
      {R"({"cniVersion":"1.0.0","ips":{}})", "ips"},
      {R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2"}]})", "ips[0].address"},
      {R"({"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24","interface":3}]})", "ips[0].interface"},
      {R"({"cniVersion":"1.0.0","routes":[{"dst":"x"}]})", "routes[0].dst"},
      {R"({"cniVersion":"1.0.0","interfaces":[{}]})", "interfaces[0].name"},
  };
  for (const auto& c : cases) {
    auto answer = decode_answer(json::parse(c.text).value());
    ASSERT_FALSE(answer) << c.text;
    EXPECT_EQ(answer.error().kind, ErrorKind::unavailable);
    EXPECT_NE(answer.error().text().find(c.want), std::string::npos) << answer.error().text();
  }
}

}  // namespace
}  // namespace podshim::cni
