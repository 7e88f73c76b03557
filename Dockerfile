# The workflow in a container, on the CPU: packages and their releases are those of pyproject.toml and constraints.txt.
#     docker build --tag nash-dqn .          (docs/using.md: what to add for PyTorch's CPU wheels)
#     docker run --rm nash-dqn               the toy run, to see that it works
#     docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/run" nash-dqn --directory /run --cores all
# The last one is the full run of the configuration in this folder, into it. Arguments are Snakemake's.
FROM python:3.11-slim

# An index to look in besides pip's own, such as PyTorch's of CPU wheels; kept out of the image.
ARG PIP_EXTRA_INDEX_URL=""

WORKDIR /nash-dqn

# What the packages depend on comes first: a change of the code does not install them again.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src/nash_dqn/__init__.py src/nash_dqn/__init__.py
RUN pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt --editable '.[report]'

COPY src src
COPY workflow workflow
COPY config config
COPY docs/results.md docs/results.md
COPY .test/config .test/config

# Whoever runs it (--user) may make the toy run and have a home for caches.
RUN useradd --create-home --home-dir /home/nash-dqn nash-dqn && chmod --recursive a+rwX .test /home/nash-dqn
# With --user the system knows no name for who runs it, and Snakemake asks for one.
ENV HOME=/home/nash-dqn USER=nash-dqn
USER nash-dqn

ENTRYPOINT ["python", "-m", "snakemake"]
CMD ["--directory", ".test", "--cores", "all"]
