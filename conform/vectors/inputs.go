package main

import "strings"

// sealed is what the seal vectors were made of. The keys and ivs were random once
// and are fixed since: a vector never changes.
var sealed = []struct{ apiKey, iv, plaintext string }{
	{"c193e5f6a77e282cd08f168ada6063bc2f07a7fa12196ca745ba1caccd0d4857", "77a9530bf20fc2450c78d2dd", ""},
	{"e295a6e16b64b90c8983d4a384434f4c200e54ac657eaccab4384403cc6cdf77", "a2ec80c38baa4cbb2f30a1b1", `{"username": "xxxxxxxxxxxxxxxxxxxxxxxxx"}`},
	{"b2f96d873c5629b7b3a24b40eadf8455672ff08a6f4ea735ad9d0467390be6d4", "7f1239180f550764763cf133", `{"username":"xxxxxxxxxxxxxxxxxxxxxxxxx"}`},
	{"36cc5274ff98268d5c61ce9595900b18b768a380b015f650201ee05530538199", "81906b51c0173efcb50631ac", `{"username":"Z9"}`},
	{"aa1e63e4d26eeea6ea35fb974805c04ac66a8c91222ff1924529dda9708bdfdc", "fc25a14359e69639bf7d405c", ""},
	{"f59f16ba2ddce93a1e2a27c7acb3e06bb1176519b9a1bf32f9d3863772a0debd", "dd5c2b1cb7a200d5077f7c84", `{"username": "a"}`},
	{"a96ff9236bc7423a6469cc0e601dc1c89d14cd5aae8e1e6327e6a567b28d5e28", "928b56e98892ebe6da5a7eab", `{"username": "Z9"}`},
	{"0f0cb4106396611a0e104407b5ce6cc1e136cd4692ea49cba849519d784ed721", "c7afd451f118d6623e929bf5", `{"username":"player001"}`},
	{"e92382de4cb45bcc2bec040b084c9b7d60c1f3771a90000b34daeb0b746e0763", "c9ed3e217b0a65f2d25ee552", strings.Repeat("x", 195)},
	{"8d3eaf95e048a863d5ed9e4ca50ff3f00332e016bcb83c07e571ba93acfff0ec", "5ea62a50338a29f9de64943e", `{"username": "player001"}`},
	{"3bc060eceb2f9bc73851556dc2f18ffbe7bd0a0de223160155e3a8472f6f060b", "2058b8d69eb02cfcd9e635a7", `{"username":"VPSysDevTest001"}`},
	{"e81235bd9de4c6e09f760912edc16f54226753a16b44ec60d6ffd40285e83298", "6ba68b0602f488a3aa77d4ea", `{"username": "xxxxxxxxxxxxxxxxxxxxxxxxx"}`},
	{"95b971010dfbb4d947891c7a1d57972c07e4a0ef3607350ab48a4a87bcf80ba9", "c6a6aa27c18ca91ddd4207de", `{"username":"ผู้เล่น"}`},
	{"19695768d94983b4b3ca407714477248e8b221a90ea45bbdfc1d71eacc67f138", "c72bb3d0013ee7486da95b42", `{"username": "player001"}`},
	{"9e5db29e950a47d4ef270e176dabdf3eb70b9124b459d0b4f60d2c0be0536eed", "7937712fe71e98d5c945fed1", `{"username":"VPSysDevTest001"}`},
	{"1bfea20c020cf72f49adb1e60fbb368c272ac4af41627938f1bf114ed7272f81", "b2cdac806314b667888660ea", `{"username": "Z9"}`},
	{"92f337296de9beae95134f70e8a5493709d6a26aa6cd373a0ce84d84422e4398", "14276dd34e291940c53b02ee", `{}`},
	{"53d1be794d7b26fdb84639fbca601141de72ec411f519829f664bb8188698e4a", "0233f60a7689a4c8b1b48336", `{"username": "xxxxxxxxxxxxxxxxxxxxxxxxx"}`},
	{"16b5082f29c1bc001931f4c7703bac7ac535086dd0324fb3724f24c7b3eb544f", "76e260fdb0900a42bc7637a8", `{"username": "Z9"}`},
	{"2a5317d5edbdf374a25e257086f9f0883690c6fb0473f1ffc0909b5e9387a1f7", "997ea0d0c125613c20739779", `{"username":"xxxxxxxxxxxxxxxxxxxxxxxxx"}`},
	{"bc6c45d60d57cec6b297b0e338910bcd3fefc8ca2bf7cef05ab4b5b6a1da6493", "9798b176bafa6b648390091d", `{}`},
	{"92f72559482b88535a2bef4fc0b29f4221d25cb57a15c922c1dc462045fbc48c", "fd4c21571503a3f4f4bbfc67", `{"username":"xxxxxxxxxxxxxxxxxxxxxxxxx"}`},
	{"5c91fccea20e57ac09e3607902e3d780db2c837d1b2ab8dd0dbeec86415814df", "f829de552e1a140ec2b15fa9", `{"username":"xxxxxxxxxxxxxxxxxxxxxxxxx"}`},
	{"d88ddffe1f97930ace4b7e23c503789614f1d78147a8a34bcf8eee50f495607f", "c423b0ccb990e6a0949f88db", `{"username":"player001"}`},
}

// nonces are those of the signature vectors, one for each seal vector.
var nonces = []string{
	"32d4e4b97a961dbba352cc6867845eff",
	"8fb2ada2e52bd268f1b90820d042ac1f",
	"a83fe4665542c89b4e4505d75154cf5a",
	"adc61745f2376e9cc4fbc993ee811ce4",
	"52a7659da4de9a67b54e3f08433f63cf",
	"54d78c4d08fc0c993b722b0bc5b1ba62",
	"a348df7015ca2e080d19764ad8e749a6",
	"e39e33c18bd6ca5c9ea128c2154dd592",
	"31d45d8618fc922aec195a5e8b05cc2a",
	"1093493830f766dc558309f1ed407d47",
	"2e2f3868ca8b1b4b0a9065183f7a8bb1",
	"72ae68ba037d36facbbd905aab663ffe",
	"1642176cfef3327a14a8b013f24e16b2",
	"e2a95de6c1ca8954fa874811087a19eb",
	"5e2b3afbfdbcbf543cc20627f31d2a38",
	"a90c3531449b28b02d9e9c4cce5cdc0a",
	"09c6e629b276677dbf4130198916a31c",
	"4080716a2bed7adebd38f7bb0a4f3a2f",
	"e3e6eddba8093a7b68840fa4e021786a",
	"76d29ce31fd9db54ad6d3242fba78a87",
	"980615c460b9a757cf96c50a18473a00",
	"81c59b10cea13c52a18e5740cbed2282",
	"873da4f33bacd4d167b669e48d7fe35e",
	"3b2643ac9ee5e126117fd07336fc9146",
}
