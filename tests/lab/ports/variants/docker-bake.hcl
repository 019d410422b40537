# The tool alone, and the tool in each of several base images.
variable "REPOSITORY" {
  default = "example.com/tool"
}

# Empty where this is no release.
variable "VERSION" {
  default = ""
}

variable "BASE_IMAGE" {
  default = "busybox:1.37"
}

variable "NEXT_IMAGE" {
  default = "busybox:latest"
}

# The names of one variant: its own, and those of the version.
function "names" {
  params = [suffixes]
  result = concat(
    [for suffix in suffixes : "${REPOSITORY}:${suffix}"],
    VERSION == "" ? [] : flatten([
      for suffix in suffixes : [
        "${REPOSITORY}:${VERSION}-${suffix}",
        "${REPOSITORY}:${join(".", slice(split(".", VERSION), 0, 2))}-${suffix}",
      ]
    ])
  )
}

group "default" {
  targets = ["tool", "variant"]
}

target "_common" {
  platforms   = ["linux/amd64", "linux/arm64"]
  annotations = ["index,manifest:org.opencontainers.image.title=tool"]
  attest      = [{ type = "provenance", mode = "max" }]
}

target "tool" {
  inherits = ["_common", "docker-metadata-action"]
  context  = "tool"
  args     = { BASE_IMAGE = BASE_IMAGE }
}

# Filled by docker/metadata-action.
target "docker-metadata-action" {}

target "variant" {
  name     = "tool-${base.name}"
  inherits = ["_common"]
  matrix = {
    base = [
      { name = "alpine", image = BASE_IMAGE, tags = ["alpine3.22", "alpine"] },
      { name = "debian", image = NEXT_IMAGE, tags = ["trixie", "debian"] },
      { name = "python3-13", image = BASE_IMAGE, tags = ["python3.13-alpine"] },
    ]
  }
  contexts          = { tool = "target:tool" }
  dockerfile-inline = <<EOT
FROM ${base.image}
COPY --from=tool /tool /usr/local/bin/
ENV VARIANT=${base.name}
CMD ["/usr/local/bin/tool"]
EOT
  tags = names(base.tags)
}
