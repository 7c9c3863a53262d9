"""Naru's settings, read from the environment; `.env.example` explains each variable. What the environment does not
say, a command takes from the `make run` that is running in the same VAR_DIR."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import secrets
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from marketdata import __version__, private
from marketdata.environment import Environment, WrongSetting
from marketdata.launcher import instance
from marketdata.logs import configuration

env = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var")))
env = Environment(instance.variables(VAR_DIR) | {name: value for name, value in os.environ.items() if value.strip()})
private.begin(VAR_DIR)  # every process of the server side reads its settings before it makes a file
# What nobody else may read may be in a file, as containers are given their secrets.
env.from_file("SECRET_KEY_FILE")
env.from_file("DATABASE_URL_FILE")
env.from_file("BACKUP_DATABASE_URL_FILE")
env.from_file("BACKUP_OFFSITE_ACCESS_KEY_FILE")
env.from_file("BACKUP_OFFSITE_SECRET_KEY_FILE")
env.from_file("REDIS_URL_FILE")
env.from_file("BROKER_URL_FILE")
env.from_file("SENTRY_DSN_FILE")

# --- Django ---------------------------------------------------------------------------------------------------------
DEBUG = env.boolean("DEBUG", False)
# Without SECRET_KEY sessions end with the process: right for a command by hand, so `runall` always hands one down.
SECRET_KEY = env.text("SECRET_KEY", secrets.token_urlsafe(50), secret=True, min_length=50)
HAS_SECRET_KEY = "SECRET_KEY" in env.given
# Given by files, each program has its own, and may be none of those that have this one (docker/compose.yaml).
MAY_LACK_SECRET_KEY = "DATABASE_URL_FILE" in env.given and "SECRET_KEY_FILE" not in env.given
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [])
BEHIND_TLS = env.boolean("BEHIND_TLS", False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # asked on this machine, past the proxy
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 31_536_000, low=0, high=63_072_000) if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_TLS
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES", ["127.0.0.1", "::1"] if BEHIND_TLS else [])
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "api",  # before the apps that have a `runserver` of their own
    "api.adminapp.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "channels",
    "marketdata",
    "analytics",
    "ingest",
    "fanout",
]
MIDDLEWARE = [
    "api.web.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "api.web.middleware.Compressed",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "api.web.middleware.Language",  # of the errors of those below, too
    "api.web.middleware.NoNul",
    "api.web.middleware.Outage",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "api.web.middleware.LoggedIn",
    "api.web.middleware.IdleTimeout",
    "api.web.middleware.Asking",
    "api.web.middleware.RateLimit",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "api.urls"
SESSION_ENGINE = "api.auth.sessions"
# Whether whoever may enter the administration needs a second factor to log in.
REQUIRE_SECOND_FACTOR = env.boolean("REQUIRE_SECOND_FACTOR", False)
# A login by an OpenID Connect provider (docs/adr/0023), beside or in place of passwords.
OIDC_ISSUER = env.issuer("OIDC_ISSUER", "")
OIDC_LABEL = env.text("OIDC_LABEL", "OpenID Connect")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID", "naru")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET", env.secret_file("OIDC_CLIENT_SECRET_FILE", ""), secret=True)
OIDC_SCOPES = env.text("OIDC_SCOPES", "openid profile email")
OIDC_NAME_CLAIM = env.text("OIDC_NAME_CLAIM", "preferred_username")
OIDC_GROUPS_CLAIM = env.text("OIDC_GROUPS_CLAIM", "groups")
OIDC_ROLES = env.pairs("OIDC_ROLES", "", r"[^=,]{1,255}", values=r"viewer|quant|operator|admin", example="desk=quant")
OIDC_CREATE_ACCOUNTS = env.boolean("OIDC_CREATE_ACCOUNTS", False)
OIDC_TRUSTED_AMR = env.words("OIDC_TRUSTED_AMR", [])
PASSWORD_LOGIN = env.boolean("PASSWORD_LOGIN", True)
if not PASSWORD_LOGIN and not OIDC_ISSUER:
    raise WrongSetting(
        f"PASSWORD_LOGIN={env.given['PASSWORD_LOGIN']!r} cannot be used without OIDC_ISSUER: nobody could log in."
    )
SESSION_COOKIE_AGE = int(env.seconds("SESSION_IDLE_S", 43_200.0, low=60.0, high=2_592_000.0))
CSRF_FAILURE_VIEW = "api.rest.errors.csrf_failure"
ASGI_APPLICATION = "api.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- language and time ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = env.choice("NARU_LANG", "ko", ("ko", "en"))
LANGUAGES = [("ko", "한국어"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale" / "django"]  # the other corrects Django's own Korean
LANGUAGE_COOKIE_NAME = "naru_language"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = BEHIND_TLS
USE_I18N = USE_TZ = True
FORMAT_MODULE_PATH = ["api.formats"]
TIME_ZONE = "Asia/Seoul"

# --- static files ---------------------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
WHITENOISE_USE_FINDERS = True

# --- database -------------------------------------------------------------------------------------------------------
# How long a database may be silent before its connection is given up. With one more try to connect, a worker is free
# again within 15 s. Locks and the server's own limit end a little earlier, so that a slow one has an error of its own.
DATABASE_SILENCE_S = env.seconds("DATABASE_SILENCE_S", 9.0, low=3.0, high=3600.0)
DATABASE_CONNECT_S = 4
DATABASE_NODES = env.endpoints("DATABASE_NODES", [])
_database: dict[str, Any] = env.database("DATABASE_URL", f"sqlite:///{VAR_DIR / 'naru.sqlite3'}")
if _database["ENGINE"].endswith("mysql"):
    _database["ENGINE"] = "marketdata.storage.mariadb.engine"
    _database["OPTIONS"] = {
        "charset": "utf8mb4",
        "local_infile": 1,  # ticks are loaded by LOAD DATA LOCAL (docs/adr/0003)
        "isolation_level": "read committed",
        "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE",
        "init_command": f"SET time_zone='+00:00', innodb_lock_wait_timeout={int(DATABASE_SILENCE_S) - 2}",
        "connect_timeout": DATABASE_CONNECT_S,
        "read_timeout": int(DATABASE_SILENCE_S),
        "write_timeout": int(DATABASE_SILENCE_S),
        **_database.get("OPTIONS", {}),
    }
elif _database["ENGINE"].endswith("postgresql"):
    _database["ENGINE"] = "marketdata.storage.postgresql.engine"
    _database["OPTIONS"] = {
        "application_name": "naru",
        # For each of several hosts; libpq takes no less than 2.
        "connect_timeout": max(DATABASE_CONNECT_S // len(str(_database["HOST"]).split(",")), 2),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "options": f"-c statement_timeout={int(DATABASE_SILENCE_S) - 1}s -c lock_timeout={int(DATABASE_SILENCE_S) - 2}s"
        r" -c timezone=UTC -c datestyle=ISO -c default_transaction_isolation=read\ committed",
        **_database.get("OPTIONS", {}),
    }
elif _database["ENGINE"].endswith("sqlite3"):
    _database["ENGINE"] = "marketdata.storage.sqlite.engine"
    Path(_database["NAME"]).parent.mkdir(parents=True, exist_ok=True)  # private by the umask
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        # FULL, not NORMAL: an acknowledged batch must survive a power cut.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;",
    }
_database["SILENCE_S"] = DATABASE_SILENCE_S
_database["CONN_MAX_AGE"] = 60
_database["CONN_HEALTH_CHECKS"] = True
DATABASES = {"default": _database}

# --- Redis or Valkey: live state and feed, and by default the broker ------------------------------------------------
REDIS_URL = env.redis_url("REDIS_URL", "redis://127.0.0.1:6379/0")
BROKER_URL = env.broker_url("BROKER_URL", REDIS_URL)
FEED_MAX_TICKS = env.integer("FEED_MAX_TICKS", 300_000, low=1_000, high=100_000_000)

# --- another broker, for other people's programs (fanout/) ------------------------------------------------------------
EVENT_BUS = env.choice("EVENT_BUS", "none", ("none", "kafka"))
KAFKA_BOOTSTRAP = env.endpoints("KAFKA_BOOTSTRAP", ["127.0.0.1:9092"])
KAFKA_OPTIONS = env.secret_file("KAFKA_OPTIONS_FILE", "")
KAFKA_TOPIC_PREFIX = env.topic_prefix("KAFKA_TOPIC_PREFIX", "")
KAFKA_FORMAT = env.choice("KAFKA_FORMAT", "json", ("json", "arrow"))
KAFKA_PARTITIONS = env.integer("KAFKA_PARTITIONS", 6, low=1, high=10_000)
KAFKA_REPLICATION = env.integer("KAFKA_REPLICATION", 0, low=0, high=100)
KAFKA_ALARM_S = env.seconds("KAFKA_ALARM_S", 60.0, low=10.0, high=86_400.0)

# --- ingest server ----------------------------------------------------------------------------------------------------
INGEST_HOST = env.text("INGEST_HOST", "127.0.0.1")
INGEST_PORT = env.integer("INGEST_PORT", 7070, low=1, high=65_535)
INGEST_TLS_CERT = env.text("INGEST_TLS_CERT", "")
INGEST_TLS_KEY = env.text("INGEST_TLS_KEY", "")
INGEST_ALLOW_PLAIN = env.boolean("INGEST_ALLOW_PLAIN", False)
INGEST_MAX_CLIENTS = env.integer("INGEST_MAX_CLIENTS", 512, low=1, high=65_535)
INGEST_MAX_INFLIGHT_BYTES = env.integer("INGEST_MAX_INFLIGHT_BYTES", 256 << 20, low=1 << 20, high=1 << 40)
INGEST_MAX_MESSAGES = env.integer("INGEST_MAX_MESSAGES", 4, low=1, high=1000)
INGEST_MESSAGE_TICKS = env.integer("INGEST_MESSAGE_TICKS", 5_000, low=1, high=100_000)
INGEST_REDRIVE_S = env.seconds("INGEST_REDRIVE_S", 5.0, low=0.1, high=600.0)
INGEST_AUDIT_S = env.seconds("INGEST_AUDIT_S", 15.0, low=0.5, high=86_400.0)
INGEST_RING_BYTES = env.integer("INGEST_RING_BYTES", 2 << 20, low=1 << 16, high=1 << 32)
INGEST_RING_AGE_S = env.seconds("INGEST_RING_AGE_S", 60.0, low=1.0, high=86_400.0)
INGEST_DATASET_BYTES = env.integer("INGEST_DATASET_BYTES", 64 << 20, low=1 << 20, high=1 << 40)

# --- what counts as a believable tick ---------------------------------------------------------------------------------
MAX_FUTURE_S = env.seconds("MAX_FUTURE_S", 5.0, low=0.0, high=86_400.0)
CLOCK_OFFSET_ALARM_S = env.seconds("CLOCK_OFFSET_ALARM_S", 2.0, low=0.01, high=86_400.0)
LATE_AFTER_S = env.seconds("LATE_AFTER_S", 1.0, low=0.0, high=60.0)

# --- how much a client may name into being (marketdata/limits/quotas.py) ----------------------------------------------
QUOTA_SPOOLS_PER_DAY = env.integer("QUOTA_SPOOLS_PER_DAY", 100, low=1, high=262_143)
QUOTA_SYMBOLS_PER_CLIENT = env.integer("QUOTA_SYMBOLS_PER_CLIENT", 10_000, low=1, high=10_000_000)
QUOTA_DATES_PER_DAY = env.integer("QUOTA_DATES_PER_DAY", 300, low=1, high=100_000)
QUOTA_DATES = env.integer("QUOTA_DATES", 3_000, low=30, high=100_000)
QUOTA_GAPS_PER_DAY = env.integer("QUOTA_GAPS_PER_DAY", 100_000, low=1, high=10_000_000)
QUOTA_FEEDS = env.integer("QUOTA_FEEDS", 64, low=1, high=10_000)

# --- storage ----------------------------------------------------------------------------------------------------------
PARTITION_DAYS_AHEAD = env.integer("PARTITION_DAYS_AHEAD", 7, low=1, high=60)
ALLOW_UNSAFE_DATABASE = env.boolean("ALLOW_UNSAFE_DATABASE", False)
CACHE_ENGINE = env.choice("CACHE_ENGINE", "MEMORY", ("MEMORY", "InnoDB"))
CHART_CACHE_TIMEFRAMES = env.choices(
    "CHART_CACHE_TIMEFRAMES", ("5Min", "1Day"), ("1Min", "3Min", "5Min", "10Min", "15Min", "30Min", "1Hour", "1Day")
)

# --- the trading day: rollover and retention --------------------------------------------------------------------------
ROLLOVER_TIME = env.clock("ROLLOVER_TIME", "08:00")
ROLLOVER_COUNT_AHEAD_S = env.seconds("ROLLOVER_COUNT_AHEAD_S", 3600.0, low=0.0, high=43_200.0)
ROLLOVER_GRACE_S = env.seconds("ROLLOVER_GRACE_S", 300.0, low=0.0, high=43_200.0)
ROLLOVER_OLD_DAYS = env.integer("ROLLOVER_OLD_DAYS", 20, low=1, high=10_000)
RETENTION_TICKS_DAYS = env.integer("RETENTION_TICKS_DAYS", 365, low=1, high=36_500)
STATS_INDEX = env.text("STATS_INDEX", "")
RETENTION_MINUTES_DAYS = env.integer("RETENTION_MINUTES_DAYS", 365, low=1, high=36_500)
RETENTION_BOOKS_DAYS = env.integer("RETENTION_BOOKS_DAYS", 30, low=1, high=36_500)
RETENTION_PRICES_DAYS = env.integer("RETENTION_PRICES_DAYS", 365, low=1, high=36_500)
RETENTION_EVENTS_DAYS = env.integer("RETENTION_EVENTS_DAYS", 90, low=1, high=36_500)
RETENTION_LEDGER_DAYS = env.integer("RETENTION_LEDGER_DAYS", 400, low=31, high=36_500)
env.not_below(
    "RETENTION_MINUTES_DAYS",
    RETENTION_MINUTES_DAYS,
    {"RETENTION_TICKS_DAYS": RETENTION_TICKS_DAYS},
    "a tick that comes late belongs into its minute candle, and daily candles are made from these",
)
env.not_below(
    "RETENTION_LEDGER_DAYS",
    RETENTION_LEDGER_DAYS,
    {"RETENTION_TICKS_DAYS": RETENTION_TICKS_DAYS, "RETENTION_MINUTES_DAYS": RETENTION_MINUTES_DAYS},
    "the ledger is what recognises a tick that is sent again, and without it the tick would be counted twice",
)
RETENTION_ALERTS_DAYS = env.integer("RETENTION_ALERTS_DAYS", 365, low=1, high=36_500)
RETENTION_QUALITY_DAYS = env.integer("RETENTION_QUALITY_DAYS", 400, low=1, high=36_500)
RETENTION_VENDOR_DAYS = env.integer("RETENTION_VENDOR_DAYS", 365, low=1, high=36_500)
# Not longer than the ledger remembers: what is older could be stored twice.
MAX_SPOOL_DAYS = env.integer("MAX_SPOOL_DAYS", min(90, RETENTION_LEDGER_DAYS), low=1, high=RETENTION_LEDGER_DAYS)

# --- backups --------------------------------------------------------------------------------------------------------
BACKUP_DIR = env.text("BACKUP_DIR", str(VAR_DIR / "backups"))
BACKUP_WORK_DIR = env.text("BACKUP_WORK_DIR", "")
_url = env.text("DATABASE_URL", f"sqlite:///{VAR_DIR / 'naru.sqlite3'}", secret=True)
BACKUP_DATABASE = env.database("BACKUP_DATABASE_URL", _url)
BACKUP_PROGRAMS = env.words("BACKUP_PROGRAMS", [])
BACKUP_TIME = env.clock("BACKUP_TIME", "05:00")
BACKUP_EVERY_H = env.integer("BACKUP_EVERY_H", 24, low=1, high=168)
BACKUP_FULL_EVERY_DAYS = env.integer("BACKUP_FULL_EVERY_DAYS", 7, low=1, high=365)
BACKUP_ZSTD_LEVEL = env.integer("BACKUP_ZSTD_LEVEL", 3, low=1, high=19)
RETENTION_BACKUPS_DAYS = env.integer("RETENTION_BACKUPS_DAYS", 30, low=1, high=36_500)
BACKUP_OFFSITE = env.text("BACKUP_OFFSITE", "")
BACKUP_OFFSITE_ENDPOINT = env.text("BACKUP_OFFSITE_ENDPOINT", "")
BACKUP_OFFSITE_REGION = env.text("BACKUP_OFFSITE_REGION", "")
BACKUP_OFFSITE_ACCESS_KEY = env.text("BACKUP_OFFSITE_ACCESS_KEY", "", secret=True)
BACKUP_OFFSITE_SECRET_KEY = env.text("BACKUP_OFFSITE_SECRET_KEY", "", secret=True)
BACKUP_OFFSITE_PROVE_DAYS = env.integer("BACKUP_OFFSITE_PROVE_DAYS", 7, low=1, high=365)
RETENTION_BACKUPS_OFFSITE_DAYS = env.integer("RETENTION_BACKUPS_OFFSITE_DAYS", 90, low=0, high=36_500)
BACKUP_RECIPIENTS = env.words("BACKUP_RECIPIENTS", [])
BACKUP_SIGNERS_FILE = env.text("BACKUP_SIGNERS_FILE", "")
BACKUP_SIGN_COMMAND = shlex.split(env.text("BACKUP_SIGN_COMMAND", ""))
if BACKUP_OFFSITE and not BACKUP_RECIPIENTS:
    raise WrongSetting(
        "BACKUP_OFFSITE wants BACKUP_RECIPIENTS: public keys that what leaves this machine is encrypted to."
    )

# --- archive ----------------------------------------------------------------------------------------------------------
ARCHIVE = env.boolean("ARCHIVE", False)
ARCHIVE_DIR = env.text("ARCHIVE_DIR", str(VAR_DIR / "archive"))

# --- what the server asks KIS (marketdata/vendors/) -------------------------------------------------------------------
NARU_KIS_KEYS_FILE = env.text("NARU_KIS_KEYS_FILE", "")
NARU_KIS_STATE_DIR = env.text("NARU_KIS_STATE_DIR", str(VAR_DIR / "kis"))
NARU_KIS_MASTERS_URL = env.text("NARU_KIS_MASTERS_URL", "https://new.real.download.dws.co.kr/common/master")
NARU_KIS_MASTERS_TIME = env.clock("NARU_KIS_MASTERS_TIME", "07:30")
NARU_KIS_REPAIR_TIME = env.clock("NARU_KIS_REPAIR_TIME", "20:10")

# --- API --------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.auth.authentication.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
        "api.auth.authentication.PageAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["api.auth.authentication.MayRead"],
    "DEFAULT_PARSER_CLASSES": [
        "api.rest.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_RENDERER_CLASSES": ["api.rest.renderers.JSONRenderer", "rest_framework.renderers.BrowsableAPIRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "api.rest.errors.handler",
    "DEFAULT_THROTTLE_RATES": {},
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Naru",
    "DESCRIPTION": "Market data REST API in the Alpaca v2 dialect.",
    "VERSION": __version__,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],  # it describes; it holds no data
    "SCHEMA_PATH_PREFIX": "/v2",
    "ENUM_NAME_OVERRIDES": {"DrawingKindEnum": ["level", "trend", "box", "note"]},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
# Pages of which other origins may ask the API. Never with cookies: such a page brings a key.
CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS", [])
CORS_URLS_REGEX = r"^/(v1|v1beta1|v2|udf)/|^/widgets\.json$"
CORS_ALLOW_METHODS = ("GET", "OPTIONS")
CORS_ALLOW_HEADERS = ("accept", "apca-api-key-id", "apca-api-secret-key", "if-none-match", "x-request-id")
CORS_EXPOSE_HEADERS = (
    "ETag", "Retry-After", "X-Naru-Warning", "X-Next-Page-Token", "X-RateLimit-Limit", "X-RateLimit-Remaining",
    "X-RateLimit-Reset", "X-Request-ID",
)  # fmt: skip
# Whether anybody may look at the first page. `runall` says yes, for it listens on this machine only.
PAGE_PUBLIC = env.boolean("PAGE_PUBLIC", DEBUG)
LOGIN_URL = "rest_framework:login"
LOGIN_REDIRECT_URL = "page"
LOGOUT_REDIRECT_URL = "rest_framework:login"
# What the feeds in the enumerations of the dialect's clients are here; "primary" is each symbol's primary feed.
FEED_ALIASES = env.pairs(
    "FEED_ALIASES", "sip=primary,delayed_sip=primary,otc=primary,iex=krx,boats=nxt,overnight=nxt", r"[a-z0-9_]{1,16}"
)
API_THREADS = env.integer("API_THREADS", 8, low=1, high=256)
API_READY_BYTES = env.integer("API_READY_BYTES", 64 << 20, low=0, high=1 << 40)
API_RATE_LIMIT = env.integer("API_RATE_LIMIT", 12_000, low=1, high=10_000_000)
API_RATE_LIMIT_UNKNOWN = env.integer("API_RATE_LIMIT_UNKNOWN", 600, low=1, high=10_000_000)
# Rules of people: how many one may have, and of how many symbols; a market stands for all of its own.
ALERT_MAX_RULES = env.integer("ALERT_MAX_RULES", 100, low=1, high=10_000)
ALERT_MAX_TARGETS = env.integer("ALERT_MAX_TARGETS", 10, low=1, high=1_000)
# A rule that gives more alerts within an hour is switched off, and says so.
ALERT_MAX_PER_HOUR = env.integer("ALERT_MAX_PER_HOUR", 500, low=1, high=1_000_000)
# Where webhooks may go beside the public internet, and without TLS.
ALERT_WEBHOOK_NETWORKS = [ipaddress.ip_network(one) for one in env.networks("ALERT_WEBHOOK_NETWORKS", [])]
# Mail is sent by this server; without one there are no e-mail targets.
EMAIL_HOST = env.text("EMAIL_HOST", "")
EMAIL_PORT = env.integer("EMAIL_PORT", 25, low=1, high=65_535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.secret_file("EMAIL_HOST_PASSWORD_FILE", "")
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "naru@localhost")
# Who is sent the report of quality of each trading date, and when in Seoul.
QUALITY_REPORT_TO = env.mail_addresses("QUALITY_REPORT_TO", [], most=50)
QUALITY_REPORT_TIME = env.clock("QUALITY_REPORT_TIME", "08:30")
if QUALITY_REPORT_TO and not EMAIL_HOST:
    raise WrongSetting("QUALITY_REPORT_TO cannot be used without EMAIL_HOST: name the mail server, or no recipients.")
# Where people reach the pages, for links in mails.
PUBLIC_ORIGIN = next(iter(env.origins("PUBLIC_ORIGIN", [])), "")
ALERT_MAX_SYMBOLS = env.integer("ALERT_MAX_SYMBOLS", 200, low=1, high=10_000)
EXPORT_MAX_ROWS = env.integer("EXPORT_MAX_ROWS", 1_000_000, low=1_000, high=1_000_000_000)
EXPORT_AT_ONCE = env.integer("EXPORT_AT_ONCE", 2, low=1, high=64)
WEB_MAX_CONNECTIONS = env.integer("WEB_MAX_CONNECTIONS", 1_000, low=1, high=100_000)
WEB_MAX_CONNECTIONS_OF_ADDRESS = env.integer("WEB_MAX_CONNECTIONS_OF_ADDRESS", 100, low=1, high=100_000)
WEB_MAX_BODY_BYTES = env.integer("WEB_MAX_BODY_BYTES", 1 << 20, low=1 << 10, high=1 << 30)
DATA_UPLOAD_MAX_MEMORY_SIZE = WEB_MAX_BODY_BYTES
WS_MAX_UNAUTHENTICATED = env.integer("WS_MAX_UNAUTHENTICATED", 100, low=1, high=100_000)
WS_MAX_UNAUTHENTICATED_OF_ADDRESS = env.integer("WS_MAX_UNAUTHENTICATED_OF_ADDRESS", 20, low=1, high=100_000)
WS_MAX_CONNECTIONS = env.integer("WS_MAX_CONNECTIONS", 200, low=1, high=100_000)
WS_MAX_SYMBOLS = env.integer("WS_MAX_SYMBOLS", 5_000, low=1, high=1_000_000)
WS_MAX_SYMBOLS_IN_ALL = env.integer("WS_MAX_SYMBOLS_IN_ALL", 200_000, low=1, high=100_000_000)
WS_MAX_PER_KEY = env.integer("WS_MAX_PER_KEY", 5, low=1, high=100_000)
WS_OUTBOX_BYTES = env.integer("WS_OUTBOX_BYTES", 1 << 20, low=1 << 14, high=1 << 30)
WS_DEFLATE = env.boolean("WS_DEFLATE", True)

# --- metrics and logs -------------------------------------------------------------------------------------------------
METRICS_HOST = env.text("METRICS_HOST", "127.0.0.1")
METRICS_PORT = env.integer("METRICS_PORT", 0, low=0, high=65_535)
METRICS_DIR = env.text("METRICS_DIR", str(VAR_DIR / "run/metrics") if METRICS_PORT else "")
# What the processes of this program count adds up here. prometheus_client asks the environment when it is first
# imported, by whomever.
METRICS_FOLDER = str(Path(METRICS_DIR, str(METRICS_PORT or ""))) if METRICS_DIR else ""
if METRICS_FOLDER:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = METRICS_FOLDER
ALIVE_FILE = env.text("ALIVE_FILE", "")
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOG_LEVELS = env.pairs(
    "LOG_LEVELS", "", r"database|collection", values=r"DEBUG|INFO|WARNING|ERROR", example="database=DEBUG"
)
LOG_FORMAT = env.choice("LOG_FORMAT", "line", ("line", "ecs"))
LOG_BATCHES = env.boolean("LOG_BATCHES", False)
LOG_DIR = env.text("LOG_DIR", "")
LOG_FILE_BYTES = env.integer("LOG_FILE_BYTES", 50 << 20, low=0, high=1 << 40)
LOG_FILES_KEPT = env.integer("LOG_FILES_KEPT", 5, low=1, high=1000)
SENTRY_DSN = env.text("SENTRY_DSN", "", secret=True)
SENTRY_ENVIRONMENT = env.text("SENTRY_ENVIRONMENT", "production")
if SENTRY_DSN and not re.fullmatch(r"https?://[0-9A-Za-z]+@[^\s/?#@]+(/[^\s?#]*)?/[0-9]+", SENTRY_DSN):
    raise WrongSetting("SENTRY_DSN=(not shown) cannot be used: it must be an address such as https://KEY@HOST/42.")
if SENTRY_DSN and importlib.util.find_spec("sentry_sdk") is None:
    raise WrongSetting(
        "SENTRY_DSN cannot be used without the package sentry-sdk: pip install -r requirements/sentry.txt"
    )
TRACES = env.choice("OTEL_TRACES_EXPORTER", "none", ("none", "otlp")) == "otlp"
TRACES = TRACES and not env.boolean("OTEL_SDK_DISABLED", False)
env.choice("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", ("http/protobuf",))
_otlp = env.text("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
_otlp_headers = env.text("OTEL_EXPORTER_OTLP_HEADERS", "", secret=True)
if TRACES and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", _otlp):
    raise WrongSetting(
        "OTEL_EXPORTER_OTLP_ENDPOINT=(not shown) cannot be used: it must be an address such as http://HOST:4318;"
        " what is secret belongs in OTEL_EXPORTER_OTLP_HEADERS."
    )
if TRACES and importlib.util.find_spec("opentelemetry") is None:
    raise WrongSetting(
        "OTEL_TRACES_EXPORTER=otlp cannot be used without OpenTelemetry: pip install -r requirements/otel.txt"
    )
LOGGING: dict[str, Any] = configuration.configuration(
    form=LOG_FORMAT,
    level=LOG_LEVEL,
    levels=LOG_LEVELS,
    batches=LOG_BATCHES,
    folder=LOG_DIR,
    max_bytes=LOG_FILE_BYTES,
    kept=LOG_FILES_KEPT,
    secrets=configuration.secrets(
        [
            SECRET_KEY,
            OIDC_CLIENT_SECRET,
            EMAIL_HOST_PASSWORD,
            SENTRY_DSN,
            *(unquote(pair.partition("=")[2].strip()) for pair in _otlp_headers.split(",")),
        ],
        [_url, env.given.get("BACKUP_DATABASE_URL", ""), REDIS_URL, BROKER_URL],
    ),
    version=__version__,
    sentry_dsn=SENTRY_DSN,
    sentry_environment=SENTRY_ENVIRONMENT,
)
