"""Records for the tests of the decoder: in the shapes that KIS documents and that were seen, with made-up prices."""

TRADE = (
    "005930^090002^100500^2^500^0.50^100451.30^100400^100600^100300^100500^100400^15^120345^12088831199^0^0^0^112.40^0^0"
    "^1^52.91^3.21^090000^2^100^090001^5^-100^090000^2^200^20261120^20^N^5230^8120^182300^201450^0.01^0^96.40^0^^100400^2"
)
"""47 values."""
BOOK = (
    "005930^090003^0^100500^100600^100700^100800^100900^101000^101100^101200^101300^101400^100400^100300^100200^100100"
    "^100000^99900^99800^99700^99600^99500^1017^2017^3017^4017^5017^6017^7017^8017^9017^10017^931^1831^2731^3631^4531^5431"
    "^6331^7231^8131^9031^55170^49810^0^0^0^0^0^-100000^5^-100.00^120352^0^0^0^0^^100450^0^0^2"
)
"""63 values; its expected price is none, and the change from it is nonsense, as KIS sends it."""
FUTURES = (
    "A01612^090002^1.25^2^0.25^501.25^500.80^501.40^500.55^3^1520^190475000000^501.11^0.42^0^0^0^0^210345^-120"
    "^0^0^0^0^0^0^0^0^0^0^0^0^0^0^501.30^501.25^12^8^0^0^0^0^0^0^0^0^0^506.26^496.24^2"
)
INDEX = "2001^090010^500.83^2^1.12^10234^845120^0^0^0.22^500.10^500.95^499.98^0^0^0^0^0^0^0^0^0^0^120^20^60^0^0^0^0"
STATUS = "396300^N^(null)^^311^^^55^N^N"
OVERSEAS = (
    "DNASAAPL^AAPL^4^20261119^20261119^100501^20261120^000501^250.1000^251.0000^249.9000^250.5000^2^1.5000^0.60"
    "^250.4900^250.5100^100^200^5^1203456^301465728^6012^5988^100.40^1"
)
NOTICE = (
    "w/5GsQXFQHnvcq2grsUv1xXQ32VD2ABeu9V2FDdODoStWcpEvHhwd7DVwkpLcuLi/a1UtAAU6ZHp1l2sV2V4WVhv77tn5H7XtztEDr3GkPx5EdVU8vWk"
    "MmGJi+XFdJU1twZ9Pb7eQReC+ZpIM9wkxQ=="
)
NOTICE_KEY, NOTICE_IV = "abcdefghijklmnopabcdefghijklmnop", "0123456789abcdef"
NOTICE_PLAIN = (
    "deskid01^1234567801^0000012345^^02^0^00^0^005930^10^100500^090002^0^2^2^00950^10^DESK^^1^N^^00^^SAMSUNG^100500"
)


def trade(width=47, **given):
    """One record of H0STCNT0 of that width; fields by their place, such as `p2="100500"`."""
    values = TRADE.split("^")
    values = values[:width] + [f"more{place}" for place in range(len(values), width)]
    for place, value in given.items():
        values[int(place[1:])] = value
    return "^".join(values)


def book(width=63, **given):
    """One record of H0STASP0 of that width."""
    values = BOOK.split("^")
    values = values[:width] + ["0"] * (width - len(values))
    for place, value in given.items():
        values[int(place[1:])] = value
    return "^".join(values)
