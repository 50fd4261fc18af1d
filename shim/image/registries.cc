#include "shim/image/registries.h"

#include <regex>

#include "common/sys/file.h"
#include "common/yaml.h"

namespace podshim::image {
namespace {

constexpr const char* kDockerHub = "docker.io";
constexpr const char* kDockerHubHost = "registry-1.docker.io";

std::string without_slashes(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path;
}

Result<Url> decode_endpoint(const json::Reader& r, const std::string& text) {
  if (text.find("://") == std::string::npos) {
    return fail(r.error("endpoint", "\"" + text + "\" has no scheme: https://" + text + ", or http:// for plain HTTP"));
  }
  auto url = parse_url(text);
  if (!url) return fail(r.error("endpoint", url.error().detail));
  if (!url->query.empty()) return fail(r.error("endpoint", "\"" + text + "\" has a query"));
  url->path = without_slashes(url->path);
  if (url->path.empty()) url->path = "/v2";
  return url;
}

// Go writes groups as ${1}, ECMAScript as $1 or $01.
std::string group_references(const std::string& text) {
  static const std::regex braces(R"(\$\{([0-9])\})");
  return std::regex_replace(text, braces, "$$0$1");
}

Result<std::regex> compile(const std::string& pattern) {
  try {
    return std::regex(pattern);
  } catch (const std::regex_error& e) {
    return fail(Error::invalid("rewrite", "\"" + pattern + "\" is not a regular expression: " + e.what()));
  }
}

Result<Mirror> decode_mirror(const json::Reader& r) {
  Mirror mirror;
  for (const auto& text : TRY(r.strings("endpoint"))) mirror.endpoints.push_back(TRY(decode_endpoint(r, text)));
  if (auto rewrites = TRY(r.opt_object("rewrite"))) {
    for (const auto& [pattern, value] : rewrites->value().as_object()) {
      if (auto ok = compile(pattern); !ok) return fail(r.error("rewrite", ok.error().detail));
      mirror.rewrites.push_back({pattern, group_references(TRY(rewrites->string(pattern)))});
    }
  }
  TRY(r.no_unknown());
  return mirror;
}

Result<HostSettings> decode_host(const json::Reader& r) {
  HostSettings host;
  if (auto auth = TRY(r.opt_object("auth"))) {
    host.auth = {.username = TRY(auth->string_or("username", "")),
                 .password = TRY(auth->string_or("password", "")),
                 .auth = TRY(auth->string_or("auth", "")),
                 .identity_token = TRY(auth->string_or("identity_token", ""))};
    TRY(auth->no_unknown());
    // Beside `auth` too: decode_credentials() would ignore one of them in silence.
    if (host.auth.username.empty() != host.auth.password.empty() && host.auth.identity_token.empty())
      return fail(auth->error("username", "username and password belong together"));
  }
  if (auto tls = TRY(r.opt_object("tls"))) {
    host.tls = {.ca_file = TRY(tls->string_or("ca_file", "")),
                .cert_file = TRY(tls->string_or("cert_file", "")),
                .key_file = TRY(tls->string_or("key_file", "")),
                .insecure_skip_verify = TRY(tls->boolean_or("insecure_skip_verify", false))};
    if (host.tls.cert_file.empty() != host.tls.key_file.empty())
      return fail(tls->error("cert_file", "cert_file and key_file belong together"));
    TRY(tls->no_unknown());
  }
  TRY(r.no_unknown());
  return host;
}

// A map from host names to T; a name without a value is an empty T.
template <typename T, typename Decode>
Result<std::map<std::string, T>> decode_hosts(const json::Reader& top, const char* name, Decode decode) {
  std::map<std::string, T> out;
  auto hosts = TRY(top.opt_object(name));
  if (!hosts) return out;
  for (const auto& [host, value] : hosts->value().as_object()) {
    if (host.empty() || host.find('/') != std::string::npos)
      return fail(hosts->error(host, "is not host[:port]; the scheme belongs to an endpoint"));
    auto one = TRY(hosts->opt_object(host));
    out[host] = one ? TRY(decode(*one)) : T{};
  }
  return out;
}

Result<std::string> rewritten(const Mirror& mirror, const std::string& repository) {
  for (const auto& rewrite : mirror.rewrites) {
    std::string out = std::regex_replace(repository, TRY(compile(rewrite.pattern)), rewrite.replacement);
    if (out == repository) continue;
    auto parsed = parse_reference("rewritten.invalid/" + out);
    if (!parsed || parsed->path != out)
      return fail(Error::invalid("rewrite", "\"" + rewrite.pattern + "\" makes \"" + out + "\" of " + repository));
    return out;
  }
  return repository;
}

// "https://index.docker.io/v1/" is how Docker's configuration files call the hub.
bool names(const std::string& server_address, const Url& url) {
  const auto scheme = server_address.find("://");
  std::string host = server_address.substr(scheme == std::string::npos ? 0 : scheme + 3);
  host = host.substr(0, host.find('/'));
  if (host == kDockerHub || host == "index.docker.io" || host == "registry.hub.docker.com") host = kDockerHubHost;
  return host == url.authority() || host == url.host + ":" + url.port;
}

}  // namespace

const HostSettings& Registries::settings(const Url& url) const {
  static const HostSettings kNone;
  const std::string candidates[] = {url.authority(), url.host + ":" + url.port,
                                    url.host == kDockerHubHost ? kDockerHub : "*", "*"};
  for (const auto& key : candidates)
    if (auto it = configs.find(key); it != configs.end()) return it->second;
  return kNone;
}

Result<Registries> decode_registries(std::string_view text, const std::string& file) {
  auto documents = TRY(yaml::parse_all(text, file));
  if (documents.empty()) return Registries{};
  if (documents.size() > 1) return fail(Error::invalid(file, "it has more than one YAML document"));
  json::Reader r = TRY(json::Reader::of(documents.front(), "", file));
  Registries out;
  out.mirrors = TRY(decode_hosts<Mirror>(r, "mirrors", decode_mirror));
  out.configs = TRY(decode_hosts<HostSettings>(r, "configs", decode_host));
  TRY(r.no_unknown());
  return out;
}

Result<Registries> load_registries(const std::string& path, bool must_exist) {
  auto text = sys::read_file(path, 1UL << 20);
  if (!text && text.error().is(ENOENT) && !must_exist) return Registries{};
  return decode_registries(TRY(std::move(text)), path);
}

Result<std::vector<Endpoint>> endpoints_of(const Registries& registries, const Reference& reference,
                                           const RegistryAuth& request) {
  std::vector<Endpoint> out;
  std::string host = reference.domain == kDockerHub ? kDockerHubHost : reference.domain;
  Url own = TRY(parse_url("https://" + host + "/v2"));
  auto mirror = registries.mirrors.find(reference.domain);
  if (mirror == registries.mirrors.end()) mirror = registries.mirrors.find("*");
  auto auth_for = [&](const Url& base, bool itself) {
    bool theirs = request.server_address.empty() ? itself : names(request.server_address, base);
    return !request.empty() && theirs ? request : registries.settings(base).auth;
  };
  bool own_is_listed = false;
  if (mirror != registries.mirrors.end()) {
    std::string repository = TRY(rewritten(mirror->second, reference.path));
    for (const auto& base : mirror->second.endpoints) {
      bool itself = base.authority() == own.authority();
      own_is_listed = own_is_listed || itself;
      out.push_back({.base = base,
                     .repository = repository,
                     .ns = itself ? "" : reference.domain,
                     .auth = auth_for(base, itself)});
    }
  }
  if (own_is_listed) return out;
  out.push_back({.base = own, .repository = reference.path, .auth = auth_for(own, true)});
  return out;
}

}  // namespace podshim::image
