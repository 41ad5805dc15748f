# For a tap of your own. `npm pack` in a checkout makes the archive: put it where your tap can fetch it, write that place
# into `url`, and into `sha256` what `shasum -a 256 mcp-token-broker-0.1.0.tgz` says.
class McpTokenBroker < Formula
  desc "MCP OAuth for agents with no browser: sign in once, every agent gets a fresh token"
  homepage "https://example.com/mcp-token-broker"
  url "https://example.com/mcp-token-broker-0.1.0.tgz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "MIT"

  depends_on "node"

  def install
    system "npm", "install", *std_npm_args
    bin.install_symlink Dir["#{libexec}/bin/*"]
    man1.install_symlink libexec/"lib/node_modules/mcp-token-broker/dist/broker.1"
    generate_completions_from_executable(bin/"broker", "completion")
  end

  service do
    run [opt_bin/"broker", "serve"]
    keep_alive crashed: true
    log_path var/"log/mcp-token-broker.log"
    error_log_path var/"log/mcp-token-broker.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/broker --version")
    ENV["BROKER_HOME"] = testpath/"vault"
    assert_match "there is no vault", shell_output("#{bin}/broker list 2>&1", 3)
  end
end
